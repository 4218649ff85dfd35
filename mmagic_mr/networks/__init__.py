"""Networks with published weights that metrics and losses stand on; torch only."""
