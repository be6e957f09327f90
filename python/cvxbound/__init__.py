"""What a learning-rate schedule is worth, before the compute is spent."""
