"""Copy, hash and write bytes and files safely."""
