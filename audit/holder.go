package audit

// A Holder is what a forge tells of who has a name: an owner's, or a repository's as OWNER/NAME.
type Holder struct {
	Name   string // under which the forge has it now; "" where nobody has it
	Unsure string // why that is not known, or not certain; "" where it is
}
