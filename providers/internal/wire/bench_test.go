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
	r := &Remote{Format: "sha1", Options: Options{Preparation: defaultPreparation, MaxPack: 1 << 30}}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		d := &Delivery{r: r, in: newPackets(bytes.NewReader(answer.Bytes()), maxText)}
		if err := d.begin2(Request{}); err != nil {
			b.Fatal(err)
		}
		if _, err := d.Receive(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
