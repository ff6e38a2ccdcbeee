"""Move values: from a checkpoint to safetensors files, and back."""
