"""Two thin drivers that run plans on connections; they know nothing of checkpoints."""
