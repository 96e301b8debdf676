"""What Prometheus records and when it alerts, as code: `python -m deploy.prometheus` writes it."""
