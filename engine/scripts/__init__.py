"""A network as a script for another framework, with its weights as a safetensors file."""
