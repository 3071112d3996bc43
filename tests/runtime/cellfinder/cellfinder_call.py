"""The call by which cellfinder classifies."""

VOXEL_SIZE = (5, 2, 2)


def arguments(crop, cells, model, **options):
    defaults = {
        "points": cells,
        "signal_array": crop[0],
        "background_array": crop[1],
        "n_free_cpus": 1,
        "voxel_sizes": VOXEL_SIZE,
        "network_voxel_sizes": (5, 1, 1),
        "batch_size": 32,
        "cube_height": 50,
        "cube_width": 50,
        "cube_depth": 20,
        "trained_model": model,
        "model_weights": None,
        "network_depth": "50",
    }
    return {**defaults, **options}
