package pair

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestZHostile(t *testing.T) {
	k := newKeys(5)
	var ids, secs, alt strings.Builder
	for range 20000 { i, s := k.id(), k.secret(); ids.WriteString(i+" "); secs.WriteString(s+" "); alt.WriteString("{id:"+i+",secret:"+s+"}\n") }
	for name, text := range map[string]string{
		"ids then secrets": ids.String()+secs.String(), "ids lines": strings.ReplaceAll(ids.String(), " ", "\n")+strings.ReplaceAll(secs.String(), " ", "\n"),
		"alt": alt.String(), "same id": strings.Repeat(k.id()+" ", 20000)+secs.String(), "deep": strings.Repeat("{\n", 300000)+k.id()+secs.String(),
		"percent": strings.Repeat("%2F", 3000000), "backslash": strings.Repeat("\\", 10000000), "base64": k.draw(20000000, letters), "text": strings.Repeat("the quick brown fox jumps over the lazy dog\n", 500000),
		"text with id": k.id()+strings.Repeat("the quick brown fox jumps over the lazy dog\n", 500000),
		"brackets": k.id()+strings.Repeat("[", 20000000)+k.id(),
		"akia": strings.Repeat("AKIA", 5000000),
	} {
		b := []byte(text)
		s := time.Now()
		f := Find(b)
		t.Log(name, len(b), len(f), time.Since(s))
	}
	_ = bytes.Equal
}
