package components

// objects are those of a repository that were received.
type objects struct{}

func (*objects) close() {}
