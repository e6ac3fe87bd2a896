package match
import ("testing";"bytes";"time";"fmt";"math/rand/v2")
func TestZ(t *testing.T) {
	m:=matcher(t)
	rnd:=rand.New(rand.NewPCG(1,1))
	n:=10<<20
	al:="ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	rb:=make([]byte,n); for i:=range rb{rb[i]=al[rnd.IntN(62)]}
	for _,c:=range []struct{name string; b []byte}{
		{"a",bytes.Repeat([]byte("a"),n)},
		{"random",rb},
		{"key",bytes.Repeat([]byte("key"),n/3)},
		{"key=",bytes.Repeat([]byte("key="),n/4)},
		{"key: ",bytes.Repeat([]byte("key: "),n/5)},
		{"begin",bytes.Repeat([]byte("-----BEGIN PRIVATE KEY-----\n"),n/28)},
		{"begin2",bytes.Repeat([]byte("-----BEGIN PRIVATE KEY BLOCK-- "),n/31)},
		{"kind",bytes.Repeat([]byte("kind: secret\n"),n/13)},
		{"kinddata",bytes.Repeat([]byte("kind: secret\ndata:\n "),n/20)},
		{"https",append(bytes.Repeat([]byte("https://a"),n/9),"webhook.office.com "...)},
		{"facebook",append(bytes.Repeat([]byte("123456789012345|"),n/16),"facebook "...)},
		{"hex",append(bytes.Repeat([]byte("0123456789abcdef"),n/16),"sourcegraph "...)},
		{"ghp",bytes.Repeat([]byte("ghp_0123456789abcdefABCDEFghijklmnopqrst\n"),n/41)},
		{"ghp line",bytes.Repeat([]byte("ghp_0123456789abcdefABCDEFghijklmnopqrst "),n/41)},
		{"keyline",bytes.Repeat([]byte("api_key=\"0123zx6789abcdefABCDEFghijklmnopqrst\" "),n/48)},
		{"kelvin",append(bytes.Repeat([]byte("api_key=\"0123zx6789abcdefABCDEFghijklmnopqrst\" "),n/48),"\u212a"...)},
		{"ey",bytes.Repeat([]byte("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."),n/37)},
		{"eyey",bytes.Repeat([]byte("ey"),n/2)},
		{"pypi",bytes.Repeat([]byte("pypi-AgEIcHlwaS5vcmc"),n/20)},
		{"curl",bytes.Repeat([]byte("curl -H "),n/8)},
		{"curl2",bytes.Repeat([]byte("curl "),n/5)},
		{"newlines",bytes.Repeat([]byte("\n"),n)},
		{"nuls",make([]byte,n)},
		{"high",bytes.Repeat([]byte("\xe2\x84"),n/2)},
		{"adafruit",bytes.Repeat([]byte("adafruit "),n/9)},
		{"all",func() []byte { var b []byte; for len(b)<n { for _,l:=range m.lits { b=append(b,l...); b=append(b," = "...)} }; return b}()},
	}{
		t0:=time.Now()
		f,w:=m.Find(c.b)
		fmt.Printf("%s %v %d %v %.0f MB/s\n",c.name,time.Since(t0).Round(time.Millisecond),len(f),w,float64(len(c.b))/1e6/time.Since(t0).Seconds())
	}
}
