"""Jobs on Kubernetes: what is submitted, and how it is followed."""
