"""What all services stand on; knows none of them."""
