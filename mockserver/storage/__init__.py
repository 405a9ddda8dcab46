"""Objects and links: signatures, pictures, and the bytes that are kept. Pure: no clock, no network, no async."""
