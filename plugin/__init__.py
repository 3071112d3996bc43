"""The napari plugin: classify candidates, choose a threshold and curate, in the viewer."""
