"""What lesson 09 imports besides the modules that lessons share."""
