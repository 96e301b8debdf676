"""How Casegrid is deployed: `deploy.local` on one machine, `k8s/` in a cluster."""
