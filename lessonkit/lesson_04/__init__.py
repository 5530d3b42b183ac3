"""What lesson 04 imports besides the modules that lessons share."""
