package pack

import (
	"crypto/sha1" //nolint:gosec // git's object ids are SHA-1
	"crypto/sha256"
	"hash"
	"strconv"
)

func newHash(idSize int) hash.Hash {
	if idSize == sha256.Size {
		return sha256.New()
	}
	return sha1.New() //nolint:gosec // see above
}

// looseHeader is what stands before an object's content where its id is made and where it is stored by itself.
func looseHeader(kind Kind, size int64) []byte {
	return append(strconv.AppendInt(append([]byte(kind.String()), ' '), size, 10), 0)
}

// hashed makes the id of an object.
func hashed(header, content []byte, idSize int) (id ID) {
	h := newHash(idSize)
	_, _ = h.Write(header)
	_, _ = h.Write(content)
	h.Sum(id[:0])
	return id
}
