package wire

import (
	"bytes"
	"testing"
)

// A counter counts what is written.
type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

func FuzzPackets(f *testing.F) {
	f.Add([]byte(pkt("a line\n", "0000", "0001", "0002", "\x01x", "ERR no\n")))
	f.Add([]byte("0003"))
	f.Add([]byte("fff0"))
	f.Add([]byte("0004000500"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, total := newPackets(bytes.NewReader(b), 1<<20), 0
		for {
			m, content, err := in.line()
			if err != nil {
				break
			}
			if m != data && content != nil {
				t.Fatalf("mark %d has content %q", m, content)
			}
			total += 4 + len(content)
		}
		if total > len(b) {
			t.Fatalf("%d bytes out of %d", total, len(b))
		}
	})
}

func FuzzRefs(f *testing.F) {
	f.Add([]byte(refs2))
	f.Add([]byte(offer2))
	f.Add([]byte(pkt("# service=git-upload-pack\n", "0000", someID+" HEAD\x00symref=HEAD:refs/heads/a object-format=sha1", someID+" refs/heads/a\n", "shallow "+otherID, "0000")))
	f.Add([]byte(pkt("version 1\n", "0000000000000000000000000000000000000000 capabilities^{}\x00agent=x", "0000")))
	f.Add([]byte(pkt("unborn HEAD symref-target:refs/heads/x", someID+" refs/../x", "0000")))
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(refs *Refs, format string) {
			last := ""
			for _, ref := range refs.List {
				if ref.Name <= last || !validName(ref.Name) || !validID(ref.ID, format) || bytes.ContainsAny([]byte(ref.Name), "\x00\n\x1b ") {
					t.Fatalf("%+v behind %q", ref, last)
				}
				if last = ref.Name; refs.ID(last) != ref.ID {
					t.Fatalf("%+v is not found", ref)
				}
			}
			if refs.Head != "" && !validName(refs.Head) {
				t.Fatalf("HEAD %q", refs.Head)
			}
		}
		if refs, err := readRefs(newPackets(bytes.NewReader(b), 1<<20), "sha1"); err == nil {
			check(refs, "sha1")
		}
		if a, err := readAdvertisement(newPackets(bytes.NewReader(b), 1<<20)); err == nil && a.version == 0 {
			check(a.listed, a.format)
		}
	})
}

func FuzzPack(f *testing.F) {
	f.Add(0, 0, []byte(pkt("NAK\n", "\x01"+nothing, "0000")))
	f.Add(0, 1, []byte(pkt("shallow "+someID, "0000", "ACK "+someID, "\x01"+nothing, "0000")))
	f.Add(2, 0, []byte(pkt("shallow-info", "shallow "+someID, "0001", "packfile\n", "\x01"+nothing[:3], "\x02working", "\x01", "\x01"+nothing[3:], "0000")))
	f.Add(1, 0, []byte(pkt("NAK\n")+nothing))
	f.Fuzz(func(t *testing.T, version, depth int, b []byte) {
		r := &Remote{Format: "sha1", Options: Options{Preparation: defaultPreparation, MaxPack: 1 << 10}}
		if version != 1 {
			r.capabilities = map[string]string{"side-band-64k": ""}
		}
		begin := (*Delivery).begin0
		if version == 2 {
			begin = (*Delivery).begin2
		}
		var n counter
		var p *Pack
		d := &Delivery{r: r, in: newPackets(bytes.NewReader(b), 1<<20)}
		err := begin(d, Request{Depth: depth})
		if err == nil {
			p, err = d.Receive(&n)
		}
		if n > 1<<10 || err == nil && (p.Size != int64(n) || int64(p.Objects) > p.Size || len(p.Checksum) != 40) {
			t.Fatalf("%d bytes, %+v", n, p)
		}
		for _, id := range d.Shallow {
			if !validID(id, "sha1") {
				t.Fatalf("shallow at %q", id)
			}
		}
	})
}
