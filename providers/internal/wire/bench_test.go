package wire

import (
	"bytes"
	"crypto/sha1"
	"io"
	"strings"
	"testing"
)

// BenchmarkPack takes a pack of 64 MiB out of its packets and checks it: what receiving costs beside the network.
func BenchmarkPack(b *testing.B) {
	body := "PACK\x00\x00\x00\x02\x00\x00\x00\x01" + strings.Repeat("\x00", 64<<20)
	sum := sha1.Sum([]byte(body))
	var answer bytes.Buffer
	answer.WriteString(pkt("packfile\n"))
	for rest := body + string(sum[:]); rest != ""; {
		n := min(len(rest), maxPacket-5)
		answer.WriteString(pkt("\x01" + rest[:n]))
		rest = rest[n:]
	}
	answer.WriteString("0000")
	r := &Remote{Format: "sha1", Options: Options{Preparation: defaultPreparation}}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		p, out := &Pack{}, newPackFile(io.Discard, "sha1", 1<<30)
		if err := r.read2(newPackets(bytes.NewReader(answer.Bytes()), maxText), Request{}, p, out); err != nil {
			b.Fatal(err)
		}
		if err := out.finish(p); err != nil {
			b.Fatal(err)
		}
	}
}
