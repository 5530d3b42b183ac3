"""What lesson 08 imports besides the modules that lessons share."""
