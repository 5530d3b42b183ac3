"""What only the notebooks need; the package itself never imports it."""
