"""The manifests of Kubernetes: what is written by hand, and what is written from the code."""
