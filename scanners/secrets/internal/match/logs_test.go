package match

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// logs returns CI logs of some size in all: what runners, package managers, compilers, containers and tests print, a job a text.
func logs(size int) (all [][]byte) {
	rnd := rand.New(rand.NewPCG(13, 14))
	for n := 0; n < size; n += len(all[len(all)-1]) {
		all = append(all, job(rnd, 20_000<<rnd.IntN(7)))
	}
	return all
}

// job returns the log of one job. Each part of it prints lines of few kinds, as tools do.
func job(rnd *rand.Rand, size int) []byte {
	var b strings.Builder
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	stamped := rnd.IntN(4) > 0
	words := make([]string, 25) // a project uses few words again and again
	for i := range words {
		words[i] = logWords[rnd.IntN(len(logWords))]
	}
	for b.Len() < size {
		part := logParts[rnd.IntN(len(logParts))]
		for range 5 + rnd.IntN(200) {
			at = at.Add(time.Duration(rnd.IntN(300_000_000)))
			if stamped {
				b.WriteString(at.Format("2006-01-02T15:04:05.0000000Z "))
			}
			b.WriteString(fill(rnd, words, part[rnd.IntN(len(part))]))
			b.WriteByte('\n')
		}
	}
	return []byte(b.String())
}

var logParts = [][]string{
	{
		"##[group]Run actions/checkout@{sha1}", "with:", "  repository: {word}/{word}", "  token: ***", "  ssh-strict: true", "  fetch-depth: {int}", "##[endgroup]",
		"[command]/usr/bin/git -c protocol.version=2 fetch --no-tags --prune --depth=1 origin +{sha1}:refs/remotes/pull/{int}/merge",
		" * [new ref]         {sha1} -> pull/{int}/merge", "remote: Counting objects:  {int}% ({int}/{int})", "HEAD is now at {sha1} Merge {sha1} into {sha1}",
		"env:", "  GITHUB_TOKEN: ***", "  AWS_ACCESS_KEY_ID: ***", "  NODE_AUTH_TOKEN: XXXXX-XXXXX-XXXXX-XXXXX", "  CACHE_KEY: {word}-linux-{sha256}",
		"Temporarily overriding HOME='/home/runner/work/_temp/{uuid}' before making global git config changes", "Cache restored from key: go-{word}-{sha256}",
	},
	{
		"npm warn deprecated {word}@{version}: this package is no longer supported", "npm http fetch GET 200 https://registry.npmjs.org/{word}/-/{word}-{version}.tgz {int}ms (cache miss)",
		"added {int} packages, and audited {int} packages in {int}s", "\x1b[32m✓\x1b[39m src/{word}/{word}.test.ts \x1b[2m(\x1b[22m\x1b[2m{int} tests\x1b[22m\x1b[2m)\x1b[22m {int}ms",
		"  \"integrity\": \"sha512-{base64}\",", "dist/assets/{word}-{word}.js   {int}.{int} kB │ gzip: {int}.{int} kB", "found {int} vulnerabilities",
		"    at Object.<anonymous> (/home/runner/work/{word}/node_modules/{word}/lib/{word}.js:{int}:{int})", "\x1b[1A\x1b[2K⠙ reify:{word}: timing reifyNode:node_modules/{word} Completed in {int}ms",
	},
	{
		"go: downloading github.com/{word}/{word} v{version}", "ok  \tgithub.com/{word}/{word}/internal/{word}\t{int}.{int}s\tcoverage: {int}.{int}% of statements",
		"=== RUN   Test{word}/{word}_{word}", "    --- PASS: Test{word}/{word}_{word} (0.{int}s)", "?   \tgithub.com/{word}/{word}/cmd/{word}\t[no test files]",
		"    {word}_test.go:{int}: got {\"id\":\"{uuid}\",\"name\":\"{word}\",\"count\":{int}}, want nil", "{word}/{word}.go:{int}:{int}: declared and not used: {word}",
		"time=\"2026-03-01T09:00:00Z\" level=info msg=\"{word} {word} {word}\" component={word} duration={int}ms", "goroutine {int} [running]:", "\t/opt/hostedtoolcache/go/1.26.0/x64/src/runtime/{word}.go:{int} +0x{int}",
	},
	{
		"#{int} [internal] load metadata for docker.io/library/{word}:{version}", "#{int} sha256:{sha256} {int}.{int}MB / {int}.{int}MB 1.2s", "#{int} extracting sha256:{sha256} 0.{int}s done",
		"{sha1}: Pulling fs layer", "Digest: sha256:{sha256}", "Successfully tagged {word}/{word}:{version}", "#{int} {int}.{int} Get:{int} http://deb.debian.org/debian bookworm/main amd64 {word} amd64 {version} [{int} kB]",
		"#{int} naming to docker.io/{word}/{word}:{sha1} done", "Selecting previously unselected package lib{word}-dev:amd64.", "Setting up lib{word} ({version}-{int}) ...",
	},
	{
		"[INFO] Downloading from central: https://repo.maven.apache.org/maven2/org/{word}/{word}/{version}/{word}-{version}.pom", "[\x1b[1;34mINFO\x1b[m] \x1b[1m--- maven-{word}-plugin:{version}:{word} (default) @ {word} ---\x1b[m",
		"Downloaded from central: https://repo.maven.apache.org/maven2/com/{word}/{word}/{version}/{word}-{version}.jar ({int} kB at {int} kB/s)", "[INFO] Tests run: {int}, Failures: 0, Errors: 0, Skipped: {int}, Time elapsed: {int}.{int} s - in com.{word}.{word}Test",
		"\tat com.{word}.{word}.{word}({word}.java:{int})", "> Task :{word}:compile{word} UP-TO-DATE", "[WARNING] /home/runner/work/{word}/src/main/java/com/{word}/{word}.java:[{int},{int}] {word} is deprecated",
	},
	{
		"Collecting {word}>={version}", "  Downloading {word}-{version}-py3-none-any.whl ({int} kB)", "tests/test_{word}.py::test_{word}_{word} \x1b[32mPASSED\x1b[0m\x1b[32m [ {int}%]\x1b[0m",
		"   Compiling {word} v{version}", "     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ {int}.{int}/{int}.{int} kB {int}.{int} MB/s eta 0:00:00", "  Stored in directory: /tmp/pip-ephem-wheel-cache-{word}/wheels/{sha1}",
		"-----BEGIN CERTIFICATE-----", "{base64}", "{base64}", "-----END CERTIFICATE-----", "module.{word}.aws_{word}.this[0]: Refreshing state... [id={uuid}]", "  \x1b[32m+\x1b[0m {word}_{word} = \"{base64}\"",
		"secret/{word} configured", "deployment.apps/{word} created", "checking for {word}... yes", "{\"level\":\"debug\",\"ts\":{int}.{int},\"caller\":\"{word}/{word}.go:{int}\",\"msg\":\"{word} {word}\",\"key\":\"{word}\",\"token\":\"***\"}",
	},
}

var logWords = strings.Fields(`react webpack config client server build parser utils core common test runner cache auth token session user account service api
	request response handler router model schema index loader module plugin babel typescript eslint rollup lodash express spring boot data commons
	collections http netty jackson databind guava slf4j logback hibernate validator kubernetes operator controller storage bucket object key keyboard monkey
	secret secrets password access public private linear sonar discord telegram facebook project store state reducer action effect hook context provider table
	column query insert update delete transaction metrics prometheus exporter collector scrape alert rule label series sample chunk block index head tail
	worker queue job task scheduler timer interval timeout retry backoff circuit breaker balance proxy gateway ingress egress policy network volume mount
	claims issuer audience tracing span exporter sampler propagator baggage resource detector numpy pandas scipy flask django celery redis postgres mysql sqlite`)

// fill replaces the names in braces.
func fill(rnd *rand.Rand, words []string, line string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(line, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		raw := make([]byte, 48)
		for i := range raw {
			raw[i] = byte(rnd.IntN(256))
		}
		line = after
		switch {
		case !closed:
			b.WriteString("{" + rest)
			return b.String()
		case name == "word":
			b.WriteString(words[rnd.IntN(len(words))])
		case name == "int":
			fmt.Fprint(&b, rnd.IntN(1<<(1+rnd.IntN(14))))
		case name == "version":
			fmt.Fprintf(&b, "%d.%d.%d", rnd.IntN(12), rnd.IntN(30), rnd.IntN(20))
		case name == "sha1":
			b.WriteString(hex.EncodeToString(raw[:20]))
		case name == "sha256":
			b.WriteString(hex.EncodeToString(raw[:32]))
		case name == "base64":
			b.WriteString(base64.StdEncoding.EncodeToString(raw))
		case name == "uuid":
			fmt.Fprintf(&b, "%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:16])
		default:
			b.WriteString("{")
			line = rest
		}
	}
}
