package secrets_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/joblog"
	"github.com/leakreach/leakreach/scanners/secrets"
)

// What jobs print is found however they print it, in the logs of each forge, on the right line.
func TestSecretsInJobLogs(t *testing.T) {
	scanner, err := secrets.New(secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	// The same values each time: of random ones, some have a word in them for which gitleaks passes over a half without its other.
	dice := rand.New(rand.NewPCG(1, 2))
	random := func(n int, of string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = of[dice.IntN(len(of))]
		}
		return string(b)
	}
	id, key := "AKIA"+random(16, letters[:26]+"234567"), ""
	// Of random values one in fifteen is passed over, or cut at a sign in front, by the rule that gitleaks has for halves without their other:
	// logs are tested here, not that.
	for whole := false; !whole; {
		key = random(40, letters+"+/")
		fs, _ := scanner.Scan(audit.Item{Kind: audit.KindFile, At: audit.Location{Kind: audit.InFile, Path: "env"}}, []byte("AWS_SECRET_ACCESS_KEY: "+key+"\n"))
		whole = slices.ContainsFunc(fs, func(f audit.Finding) bool { return !f.Candidate && f.Secret.Reveal() == key })
	}
	gh := "ghp_" + random(36, letters)
	_, private, _ := ed25519.GenerateKey(nil)
	der, _ := x509.MarshalPKCS8PrivateKey(private)
	pemKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	wrapped := func(s string, n int) (lines []string) {
		for ; len(s) > n; s = s[n:] {
			lines = append(lines, s[:n])
		}
		return append(lines, s)
	}
	record := fmt.Sprintf(`"AWS_SECRET_ACCESS_KEY":{"value":"%s","isSecret":true}`+"\n"+`"AWS_ACCESS_KEY_ID":{"value":"%s","isSecret":true}`+"\n", key, id)
	coloured := func(s string) string { return s[:7] + "\x1b[01;31m\x1b[K" + s[7:20] + "\x1b[m\x1b[K" + s[20:] }

	forges := map[string]func(lines []string) string{
		"GitHub": func(lines []string) string {
			return "\ufeff2024-05-22T12:43:46.9626461Z " + strings.Join(lines, "\n2024-05-22T12:43:46.9626461Z ") + "\n"
		},
		"GitLab": func(lines []string) string { return strings.Join(lines, "\r\n") },
		"GitLab with times": func(lines []string) string {
			return "2024-05-22T12:43:46.962646Z 00O " + strings.Join(lines, "\r\n2024-05-22T12:43:46.962646Z 00O ")
		},
		"GitLab in pieces": func(lines []string) string {
			var b strings.Builder
			for _, l := range lines {
				half := len(l) / 2
				fmt.Fprintf(&b, "2024-05-22T12:43:46.962646Z 00O %s\n2024-05-22T12:43:47.962646Z 00O+%s\n", l[:half], l[half:])
			}
			return b.String()
		},
	}
	for _, test := range []struct {
		name  string
		lines []string // after ten others
		line  int      // of the secret among them, from 1
		value string   // "" for none
	}{
		{"raw", []string{"$ env", "GITHUB_TOKEN=" + gh}, 2, gh},
		{"raw, of two halves", []string{"AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + key}, 2, key},
		{"in colours", []string{"remote: " + coloured(gh)}, 1, gh},
		{"in the colours of a script", []string{"\x1b[36;1mexport AWS_ACCESS_KEY_ID=" + id + "\x1b[0m", "\x1b[36;1mexport AWS_SECRET_ACCESS_KEY=" + key + "\x1b[0m"}, 2, key},
		{"in a command", []string{"##[command]/usr/bin/git clone https://x-access-token:" + gh + "@github.com/acme/web"}, 1, gh},
		{"in an error", []string{"##[error]401 for token " + gh}, 1, gh},
		{"in the environment of a step", []string{"##[group]Run make", "make", "shell: /usr/bin/bash -e {0}", "env:", "  AWS_ACCESS_KEY_ID: " + id, "  AWS_SECRET_ACCESS_KEY: " + key, "##[endgroup]"}, 6, key},
		{"beside a mask", []string{"***" + gh + "***"}, 1, gh},
		{"behind a mask", []string{"https://***:" + gh + "@github.com"}, 1, gh},
		{"beside a mask, of two halves", []string{"***" + id + ":" + key + "***"}, 1, key},
		{"between masks that are coloured", []string{"\x1b[31m***\x1b[0m" + coloured(gh) + "\x1b[31m***\x1b[0m"}, 1, gh},
		{"the half that was not masked", []string{"AWS_ACCESS_KEY_ID: ***", "AWS_SECRET_ACCESS_KEY: " + key}, 2, key},
		{"masked", []string{"GITHUB_TOKEN=***", "password: ***", "AWS_SECRET_ACCESS_KEY: ***", "curl -u user:*** https://x.example/", "https://user:***@x.example/"}, 0, ""},
		{"wrapped", wrapped("token is "+gh, 30), 1, gh},
		{"in a column of eight", wrapped("token is "+gh, 8), 2, gh},
		{"in a column of six, alone", wrapped(gh, 6), 1, gh},
		{"in a column of three", wrapped("token="+gh, 3), 3, gh},
		{"letter by letter", wrapped(gh, 1), 1, gh},
		{"base64, in a column of eight", wrapped(b64("token="+gh), 8), 0, gh},
		{"a column of words", []string{"password", "username", "a1b2c3d4", "x9y8z7w6", "deadbeef", "Qwertzu8"}, 0, ""},
		{"a private key", strings.Split(strings.TrimSpace(pemKey), "\n"), 1, strings.TrimSpace(pemKey)},
		{"a private key, in base64", []string{b64(pemKey)}, 1, strings.TrimSpace(pemKey)},
		{"base64", []string{b64("token=" + gh)}, 1, gh},
		{"base64 twice", []string{b64(b64("token=" + gh))}, 1, gh},
		{"base64, wrapped", wrapped(b64(strings.Repeat("harmless words in front of it; ", 5)+"token="+gh), 76), 0, gh},
		{"base64 twice, wrapped", wrapped(b64(strings.Join(wrapped(b64(strings.Repeat("harmless words in front of it; ", 5)+"token="+gh), 76), "\n")), 76), 0, gh},
		{"base64 twice of a runner's memory", []string{b64(b64(record))}, 1, key},
		{"base64 twice of a runner's memory, wrapped", wrapped(b64(b64(record)+"\n"), 76), 0, key},
		{"base64 beside a mask", []string{"***" + b64("token="+gh) + "***"}, 1, gh},
		{"hex", []string{hex.EncodeToString([]byte("token=" + gh))}, 1, gh},
		{"hex, wrapped", wrapped(hex.EncodeToString([]byte("some words, and token="+gh)), 60), 0, gh},
		{"a dump", strings.Split(strings.TrimSpace(hex.Dump([]byte("token="+gh))), "\n"), 0, gh},
		{"base64 in JSON", []string{`{"data":"` + b64(`{"token":"`+gh+`"}`) + `"}`}, 1, gh},
		{"a process's environment", []string{"PATH=/bin\x00GITHUB_TOKEN=" + gh + "\x00HOME=/root\x00"}, 1, gh},
		{"as PowerShell writes", []string{strings.ReplaceAll("GITHUB_TOKEN="+gh, "", "\x00")}, 1, gh},
		{"a link", []string{"\x1b]8;;https://x-access-token:" + gh + "@github.com/\x1b\\here\x1b]8;;\x1b\\"}, 1, gh},
		{"over a progress bar", []string{"10 %\r20 %\rtoken=" + gh + "\r30 %"}, 1, gh},
	} {
		for forge, print := range forges {
			var log []string
			for n := range 10 {
				log = append(log, fmt.Sprintf("line %d of what a job prints", n+1))
			}
			log = append(append(log, test.lines...), "the end")
			found := map[string]int{} // the first line of each value
			for text, err := range joblog.Texts(strings.NewReader(print(log)), 0) {
				if err != nil {
					t.Fatal(err)
				}
				it := audit.Item{Kind: audit.KindLog, At: audit.Location{Kind: audit.InLog, Name: "build", Path: "build"}}
				if !scanner.Wants(it) {
					t.Fatal("the scanner does not want logs")
				}
				fs, gaps := scanner.Scan(it, text.Content)
				if len(gaps) > 0 {
					t.Errorf("%s, %s: gaps %v", forge, test.name, gaps)
				}
				for _, f := range slices.DeleteFunc(scanner.Join(fs), func(f audit.Finding) bool { return f.Candidate || f.Secret == nil }) {
					if v := f.Secret.Reveal(); found[v] == 0 {
						found[v] = text.Place(f.Locations[0].Line).Line
						for _, l := range f.Locations { // halves: where the secret one stands
							found[v] = max(found[v], text.Place(l.Line).Line)
						}
					}
				}
			}
			line, ok := found[test.value]
			if !ok {
				for v, l := range found {
					if test.value != "" && strings.Contains(strings.ReplaceAll(v, "\r", ""), test.value) {
						line, ok = l, true
					}
				}
			}
			switch {
			case test.value == "" && len(found) > 0:
				t.Errorf("%s, %s: %d findings, want none: %q", forge, test.name, len(found), test.lines)
			case test.value != "" && !ok:
				t.Errorf("%s, %s: not found in %q", forge, test.name, test.lines)
			case test.line > 0 && strings.HasSuffix(forge, "pieces") && line != 2*(10+test.line)-1, test.line > 0 && !strings.HasSuffix(forge, "pieces") && line != 10+test.line:
				t.Errorf("%s, %s: on line %d, want %d after ten others", forge, test.name, line, test.line)
			}
		}
	}
}

// The secret of a key whose id is masked is found whatever chance has put into it, and what people write there instead is not.
func TestLoneSecret(t *testing.T) {
	scanner, err := secrets.New(secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := func(value string) (values []string) {
		fs, _ := scanner.Scan(audit.Item{Kind: audit.KindLog, At: audit.Location{Kind: audit.InLog, Path: "log"}}, []byte("AWS_ACCESS_KEY_ID: ***\nAWS_SECRET_ACCESS_KEY: "+value+"\n"))
		for _, f := range scanner.Join(fs) {
			if !f.Candidate {
				values = append(values, f.Secret.Reveal())
			}
		}
		return values
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	dice := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		b := make([]byte, 40)
		for i := range b {
			b[i] = letters[dice.IntN(len(letters))]
		}
		if got := found(string(b)); !slices.Equal(got, []string{string(b)}) {
			t.Errorf("%q: found %q", b, got)
		}
	}
	for _, value := range []string{
		"ThisIsMyExampleOfASecretKeyInTheDocs1234", "PlaceholderForYourAwsSecretAccessKey0000", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY", strings.Repeat("aB3d", 10),
	} {
		if got := found(value); len(got) > 0 {
			t.Errorf("%q: found", value)
		}
	}
}

// What a job was to keep, and prints in base64, is told as such, by its names alone.
func TestEncodedSecretsInJobLogs(t *testing.T) {
	scanner, err := secrets.New(secrets.Options{Rules: []string{"encoded-secret-in-log"}})
	if err != nil {
		t.Fatal(err)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const value = "correct-horse-7"
	record := `"DEPLOY_TOKEN":{"value":"` + value + `","isSecret":true}`
	const env = "env:\n  DEPLOY_TOKEN: ***\n  LEVEL: info\n"
	for _, test := range []struct {
		name, log, want string
	}{
		{"a record", "x\n" + b64(record) + "\n", "base64 of what the job was to keep: DEPLOY_TOKEN"},
		{"records, twice", "x\n" + b64(b64(record+"\n"+strings.ReplaceAll(record, "DEPLOY", "NPM")+"\n")) + "\n", "base64 and base64 of what the job was to keep: DEPLOY_TOKEN, NPM_TOKEN"},
		{"a value that is masked", env + b64("PATH=/usr/bin\nDEPLOY_TOKEN="+value+"\nHOME=/root\n") + "\n", "base64 of what the job was to keep: DEPLOY_TOKEN"},
		{"a value that is masked, in JSON", env + b64(`{"DEPLOY_TOKEN":"`+value+`"}`) + "\n", "base64 of what the job was to keep: DEPLOY_TOKEN"},
		{"a record of what is no secret", b64(strings.ReplaceAll(record, "true", "false")) + "\n", ""},
		{"a record of a mask", b64(strings.ReplaceAll(record, value, "***")) + "\n", ""},
		{"another value of the job's", env + b64("PATH=/usr/bin\nLEVEL=information\n") + "\n", ""},
		{"a name that is not masked", b64("PATH=/usr/bin\nDEPLOY_TOKEN="+value+"\n") + "\n", ""},
		{"base64 of nothing", env + "Imlz/ZWNyZXQ=\n", ""},
		{"in the clear, beside base64", env + record + " " + b64("nothing of any interest here") + "\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			it := audit.Item{Kind: audit.KindLog, At: audit.Location{Kind: audit.InLog, Name: "build", Path: "build"}}
			if front := strings.Repeat("compiling one more of many files\n", 500); test.want != "" { // a log like others, whose lines were seen before
				for _, masks := range []string{"", env} {
					_, _ = scanner.Scan(it, []byte(masks+front+strings.TrimPrefix(test.log, env)+front))
				}
				if found, _ := scanner.Scan(it, []byte(env+front+strings.TrimPrefix(test.log, env)+front)); len(found) == 0 {
					t.Error("nothing is found in a log whose lines were seen before")
				}
			}
			found, gaps := scanner.Scan(it, []byte(test.log))
			switch {
			case len(gaps) > 0:
				t.Error(gaps)
			case test.want == "" && len(found) > 0, test.want != "" && len(found) == 0:
				t.Errorf("found %+v", found)
			case test.want != "" && (found[0].Message != test.want || found[0].Severity != audit.Critical || found[0].Secret != nil):
				t.Errorf("%s %q, want %q", found[0].Severity, found[0].Message, test.want)
			}
			if it.Kind = audit.KindFile; test.want != "" {
				if found, _ := scanner.Scan(it, []byte(test.log)); len(found) > 0 {
					t.Errorf("a file is no log: %+v", found)
				}
			}
		})
	}
}
