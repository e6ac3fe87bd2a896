package job

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/leakreach/leakreach/audit"
)

// Messages of the agent protocol (draft-ietf-sshm-ssh-agent, section 3.5).
const (
	agentRequestIdentities = 11
	agentIdentities        = 12
)

// maxAgent is OpenSSH's own bound of an agent's answer.
const maxAgent = 256 << 10

// agent lists the keys that an SSH agent would sign with for anybody in the job. It hands out their public halves; nothing is signed.
func (j *job) agent(ctx context.Context) (f found) {
	at := j.path("SSH_AUTH_SOCK")
	if at == "" {
		return f
	}
	keys, err := askAgent(ctx, j.real(at))
	if err != nil {
		f.gap("keys of the SSH agent", cause(err))
	}
	for _, k := range keys {
		f.entry(audit.KindToken, "SSH_AUTH_SOCK", audit.InVariable, facts{"type": "ssh-agent", "algorithm": k.algorithm, "fingerprint": k.fingerprint, "comment": k.comment})
	}
	return f
}

type agentKey struct{ algorithm, fingerprint, comment string }

func askAgent(ctx context.Context, socket string) ([]agentKey, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		if e := (*net.OpError)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write([]byte{0, 0, 0, 1, agentRequestIdentities}); err != nil {
		return nil, err
	}
	var size uint32
	if err := binary.Read(c, binary.BigEndian, &size); err != nil {
		return nil, err
	}
	if size > maxAgent {
		return nil, errors.New("the answer is too long for an agent's")
	}
	answer := make([]byte, size)
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, err
	}
	return agentKeys(answer)
}

var errAgent = errors.New("the answer is not an agent's")

// agentKeys reads the answer: how many keys, and of each its public half and a comment.
func agentKeys(b []byte) (keys []agentKey, err error) {
	if len(b) < 5 || b[0] != agentIdentities {
		return nil, errAgent
	}
	count := binary.BigEndian.Uint32(b[1:])
	b = b[5:]
	for range count {
		blob, rest, ok := text(b)
		if !ok {
			return keys, errAgent
		}
		comment, rest, ok := text(rest)
		if !ok {
			return keys, errAgent
		}
		b = rest
		algorithm, _, _ := text(blob)
		sum := sha256.Sum256(blob)
		keys = append(keys, agentKey{string(algorithm), "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), string(comment)})
	}
	return keys, nil
}

// text cuts off a string, which begins with its length (RFC 4251, section 5).
func text(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
