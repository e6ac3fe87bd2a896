package audit

// Memory is what a whole run may take, in bytes, as the user set it. Whoever holds contents takes a share of it. Zero sets no limit
// but those that each holder has of its own.
type Memory int64

// Share is one of n parts of the memory, and at most the given number of bytes: more would not be of use to who asks.
func (m Memory) Share(n, most int64) int64 {
	if m <= 0 {
		return most
	}
	return min(int64(m)/n, most)
}
