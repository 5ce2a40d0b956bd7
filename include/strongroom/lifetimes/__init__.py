"""What has a lifetime in the bucket: what each kind of thing tells the retention planner of itself."""
