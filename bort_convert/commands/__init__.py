"""One public function for each thing that a user can ask for."""
