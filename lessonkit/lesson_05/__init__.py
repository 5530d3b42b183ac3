"""What lesson 05 imports besides the modules that lessons share."""
