"""Local inference: models with a manifest, checked before they are believed. The only home of onnxruntime and cv2."""
