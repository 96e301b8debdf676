"""What the people on call see, as code: `python -m deploy.grafana` writes it."""
