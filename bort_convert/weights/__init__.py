"""Move values: a checkpoint to safetensors, and back."""
