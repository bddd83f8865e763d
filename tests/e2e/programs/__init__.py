"""Programs that tests run in the cluster, in the image `e2e`."""
