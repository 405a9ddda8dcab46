"""An emulator of hosted ComfyUI services, driven wholly by the schemas of their providers."""
