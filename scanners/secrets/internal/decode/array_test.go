package decode

import (
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		word     string
		dec, hex byte
		bases    uint8
	}{
		{"7", 7, 0, decimal}, {"a", 0, 0, 0},
		{"67", 67, 0x67, decimal | pairs}, {"6f", 0, 0x6f, pairs}, {"F6", 0, 0xf6, pairs}, {"0x", 0, 0, 0}, {"xr", 0, 0, 0},
		{"103", 103, 0, decimal}, {"255", 255, 0, decimal}, {"256", 0, 0, 0}, {"1a3", 0, 0, 0},
		{"0x6", 6, 6, prefixed}, {"0x6f", 0x6f, 0x6f, prefixed}, {"0XF6", 0xf6, 0xf6, prefixed}, {"0xfg", 0, 0, 0},
		{"0x6fu", 0x6f, 0x6f, prefixed}, {"67u8", 67, 0x67, decimal | pairs}, {"6fh", 0, 0x6f, pairs}, {"103U", 103, 0, decimal},
		{"01100111", 0x67, 0x67, bits8}, {"01100112", 0, 0, 0}, {"1034", 0, 0, 0}, {"0x1034", 0, 0, 0},
	} {
		if dec, hex, bases := number([]byte(c.word)); bases != c.bases || bases != 0 && dec != c.dec || bases&^decimal != 0 && hex != c.hex {
			t.Errorf("%s: %d, %#x in bases %b, want %d, %#x in %b", c.word, dec, hex, bases, c.dec, c.hex, c.bases)
		}
	}
}

// Digits that have letters among them are no decimal numbers, as those of a key's modulus, whatever the others would spell.
func TestPairsAreNotDecimal(t *testing.T) {
	spells := "80:81:82:83:84:85:86:87:88:89:90:91:92:93:94:95:96:97"
	if len(shown([]byte(strings.ReplaceAll(spells, ":", ", ")), false)) == 0 {
		t.Error("text in decimal numbers is not shown")
	}
	if views := shown([]byte("fb:"+spells), false); len(views) > 0 {
		t.Errorf("%s", views)
	}
}
