package credfile
import ("testing";"time";"strings";"runtime")
func TestHostile(t *testing.T) {
	n := 4<<20
	rep := func(s string) []byte { return []byte(strings.Repeat(s, n/len(s))) }
	for _, c := range []struct{path string; unit string}{
		{"", "://"}, {"", "a://b:c"}, {"", "postgres://u:p/"}, {"", "password="}, {"", ";password="}, {"", " pwd=a;"}, {"", "server=x;password=b1c2d3;"}, {"", "Authorization: Basic "}, {"", "authorization: bearer aaaaaaaaaaa"},
		{"", "-----BEGIN RSA PRIVATE KEY-----"}, {"", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END "}, {"", "PuTTY-User-Key-File-2: x\nEncryption: none\nPrivate-Lines: 400\n"},
		{"a.tfstate", "{\"a\":"}, {"a.tfstate", "[{"}, {"a.tfstate", "{\"password\":\"abc1\"},"}, {"a.tfstate", "\\\""}, {"a.tfstate", "/*"}, {"a.tfstate", "'"},
		{".m2/settings.xml", "<a "}, {".m2/settings.xml", "<a>"}, {".m2/settings.xml", "<password>"}, {".m2/settings.xml", "<a b='"}, {".m2/settings.xml", "<![CDATA["},
		{"secrets.yml", "a:\n "}, {"secrets.yml", "- "}, {"secrets.yml", "{a: {"}, {"secrets.yml", "a: |\n"}, {"secrets.yml", "a: &a *a\n"}, {"secrets.yml", "- - - a:\n"},
		{".env", "A_PASSWORD="}, {".env", "A_PASSWORD=x\n"}, {".env", "'"}, {".netrc", "password "}, {".netrc", "macdef x "}, {".netrc", "\"a "}, {".pgpass", ":"}, {"x.sql", "$2y$"}, {"x.sql", "$6$aaaaaaaaaaaaaaaaaaaa"}, {".htpasswd", "a:"},
		{"x.sh", "--password "}, {"x.sh", "mysql curl docker login zip echo \n"}, {"x.sh", "curl -u a:"}, {"x.sh", "TOKEN=a1b2c3d4 "}, {"config.php", "'a' => 'b'"}, {"config.php", "define("}, {"inventory", "a=b "}, {".fetchmailrc", "password "}, {"jsforce.js", ".login('a', 'b"},
		{"x.yaml", "kind: Secret\ndata:\n---\n"}, {".git-credentials", "://@"}, {"svn.simple/x", "K 8\npassword\n"},
	} {
		b := rep(c.unit)
		if c.path == "jsforce.js" { b = append([]byte("jsforce "), b...); }
		runtime.GC()
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		s := time.Now()
		f := Parse(c.path, b)
		d := time.Since(s)
		runtime.ReadMemStats(&m1)
		if d > 150*time.Millisecond || m1.TotalAlloc-m0.TotalAlloc > 200<<20 { t.Logf("%s %q: %d found %v alloc %dMB", c.path, c.unit, len(f), d, (m1.TotalAlloc-m0.TotalAlloc)>>20) }
	}
}
