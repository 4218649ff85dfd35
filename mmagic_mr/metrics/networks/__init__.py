"""Networks that metrics stand on: their files, LPIPS, feature extractors."""
