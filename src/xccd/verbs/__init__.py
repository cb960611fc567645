"""One public function a job: arguments checked, labels handled, a chain handed to `compute`."""
