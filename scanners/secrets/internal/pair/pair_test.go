package pair

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// keys makes credentials of no account, the same in every run.
type keys struct{ r *rand.Rand }

func newKeys(seed uint64) keys { return keys{rand.New(rand.NewPCG(seed, 2))} }

func (k keys) draw(n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[k.r.IntN(len(alphabet))]
	}
	return string(b)
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func (k keys) id() string     { return "AK" + "IA" + k.draw(16, letters[:26]+"234567") }
func (k keys) tempID() string { return "AS" + "IA" + k.draw(16, letters[:26]+"234567") }
func (k keys) token() string  { return "IQo" + "J" + k.draw(340, letters+"/+") + "==" }

// secret draws until it has all kinds of characters and a slash, which most formats treat in their own way.
func (k keys) secret() string {
	for {
		s := k.draw(40, letters+"/+")
		if strings.Contains(s, "/") && strings.ContainsAny(s, "0123456789") {
			return s
		}
	}
}

// hidings hold ids as I1, I2, secrets as S1, S2, tokens as T1; want lists what must be one credential.
var hidings = []struct{ name, text, want string }{
	{"same line", "I1 S1", "I1:S1"},
	{"same line, colon", "I1:S1", "I1:S1"},
	{"same line, secret first", "key=S1 id=I1", "I1:S1"},
	{"dotenv", "AWS_ACCESS_KEY_ID=I1\nAWS_SECRET_ACCESS_KEY=S1\nAWS_DEFAULT_REGION=eu-west-1\n", "I1:S1:eu-west-1"},
	{"export", "export AWS_ACCESS_KEY_ID='I1'\nexport AWS_SECRET_ACCESS_KEY='S1'\nexport AWS_SESSION_TOKEN='T1'\n", "I1:S1:T1"},
	{"windows", "setx AWS_ACCESS_KEY_ID I1\r\nsetx AWS_SECRET_ACCESS_KEY S1\r\n", "I1:S1"},
	{"powershell", "$Env:AWS_ACCESS_KEY_ID=\"I1\"\n$Env:AWS_SECRET_ACCESS_KEY=\"S1\"\n", "I1:S1"},
	{"60 lines apart", "aws_access_key_id = I1\n" + strings.Repeat("other = thing\n", 60) + "aws_secret_access_key = S1\n", "I1:S1"},
	{"300 lines apart", "aws_access_key_id = I1\n" + strings.Repeat("\nother = thing\n", 150) + "aws_secret_access_key = S1\n", "I1:S1"},
	{"secret first, 60 lines apart", "secret: S1\n" + strings.Repeat("# thing\n\n", 30) + "key: I1\n", "I1:S1"},
	{"profiles", "[default]\naws_access_key_id = I1\naws_secret_access_key = S1\n\n[prod]\naws_access_key_id = I2\naws_secret_access_key = S2\n", "I1:S1 I2:S2"},
	{"profiles, orders mixed", "[a]\naws_secret_access_key=S1\naws_access_key_id=I1\n[b]\naws_access_key_id=I2\naws_secret_access_key=S2\n[c]\naws_secret_access_key=S3\naws_access_key_id=I3\n", "I1:S1 I2:S2 I3:S3"},
	{"profiles, one without secret", "[a]\naws_access_key_id=I1\n[b]\naws_access_key_id=I2\naws_secret_access_key=S2\n", "I1 I2:S2"},
	{"profiles, one id only before the pair's secret", "[a]\naws_secret_access_key=S1\naws_access_key_id=I1\n[b]\naws_access_key_id=I2\n", "I1:S1 I2"},
	{"profiles, halves in different ones", "[a]\naws_access_key_id=I1\n[b]\naws_secret_access_key=S2\n[c]\naws_access_key_id=I3\naws_secret_access_key=S3\n", "I1 I3:S3"},
	{"profiles, whose secret is not told", "[a]\naws_access_key_id=I1\n[b]\naws_access_key_id=I2\n[c]\naws_secret_access_key=S1\n", "I1 I2"},
	{"sections of one pair", "[id]\nkey=I1\n[secret]\nsecret=S1\n", "I1:S1"},
	{"profile with role", "[p]\nregion = us-east-2\naws_access_key_id = I1\naws_secret_access_key = S1\naws_session_token = T1\n", "I1:S1:T1:us-east-2"},
	{"json", "{\"accessKeyId\": \"I1\", \"secretAccessKey\": \"S1\", \"region\": \"us-west-2\"}", "I1:S1:us-west-2"},
	{"json of iam", "{\n \"AccessKey\": {\n  \"UserName\": \"ci\",\n  \"AccessKeyId\": \"I1\",\n  \"Status\": \"Active\",\n  \"SecretAccessKey\": \"S1\"\n }\n}", "I1:S1"},
	{"json of sts", "{\"Credentials\":{\"AccessKeyId\":\"I1\",\"SecretAccessKey\":\"S1\",\"SessionToken\":\"T1\",\"Expiration\":\"2026-01-01\"}}", "I1:S1:T1"},
	{"json objects in one line", "[{\"secret\":\"S1\",\"id\":\"I1\"},{\"id\":\"I2\",\"secret\":\"S2\"}]", "I1:S1 I2:S2"},
	{"json objects, one without secret", "{\"a\":{\"id\":\"I1\"},\"b\":{\"secret\":\"S2\",\"id\":\"I2\"}}", "I1 I2:S2"},
	{"json, siblings", "[{\"name\":\"AWS_ACCESS_KEY_ID\",\"value\":\"I1\"},\n{\"name\":\"LOG\",\"value\":\"x\"},\n{\"name\":\"AWS_SECRET_ACCESS_KEY\",\"value\":\"S1\"}]", "I1:S1"},
	{"json, slashes escaped", "{\"key\":\"I1\",\"secret\":\"J1\"}", "I1:S1"},
	{"json in a json string", "{\"env\":\"AWS_ACCESS_KEY_ID=I1\\nAWS_SECRET_ACCESS_KEY=S1\\n\"}", "I1:S1"},
	{"url escapes", "https://x/?AWSAccessKeyId=I1&secret=U1&x=1", "I1:S1"},
	{"url userinfo", "s3://I1:U1@bucket/path", "I1:S1"},
	{"yaml", "dev:\n  aws:\n    access_key: I1\n    secret_key: S1\nprod:\n  aws:\n    secret_key: S2\n    access_key: I2\n", "I1:S1 I2:S2"},
	{"yaml list", "- access: I1\n  secret: S1\n- secret: S2\n  access: I2\n- access: I3\n", "I1:S1 I2:S2 I3"},
	{"yaml env list", "env:\n  - name: AWS_ACCESS_KEY_ID\n    value: I1\n  - name: AWS_SECRET_ACCESS_KEY\n    value: S1\n", "I1:S1"},
	{"yaml, value on the next line", "access_key_id:\n  I1\nsecret_access_key:\n  S1\n", "I1:S1"},
	{"console csv", "Access key ID,Secret access key\nI1,S1\n", "I1:S1"},
	{"console csv with mark", "\ufeffAccess key ID,Secret access key\r\nI1,S1\r\n", "I1:S1"},
	{"legacy console csv", "User Name,Access Key Id,Secret Access Key\n\"ci\",I1,S1\n\"cd\",I2,S2\n", "I1:S1 I2:S2"},
	{"new console csv", "User name,Password,Access key ID,Secret access key,Console login link\nci,,I1,S1,https://111122223333.signin.aws.amazon.com/console\n", "I1:S1"},
	{"dockerfile env", "FROM x\nENV AWS_ACCESS_KEY_ID=I1 \\\n    AWS_SECRET_ACCESS_KEY=S1\n", "I1:S1"},
	{"dockerfile env and arg", "ENV AWS_ACCESS_KEY_ID I1\nRUN echo\nARG AWS_SECRET_ACCESS_KEY=S1\n", "I1:S1"},
	{"boto3", "c = boto3.client('s3', aws_access_key_id='I1', aws_secret_access_key='S1')", "I1:S1"},
	{"boto3 over lines", "c = boto3.client(\n    's3',\n    aws_access_key_id='I1',\n    aws_secret_access_key='S1',\n    region_name='eu-central-1',\n)\nd = boto3.client(\n    's3',\n    aws_secret_access_key='S2',\n    aws_access_key_id='I2',\n)\n", "I1:S1:eu-central-1 I2:S2:eu-central-1"},
	{"go", `creds := credentials.NewStaticCredentials("I1", "S1", "")`, "I1:S1"},
	{"java", `new BasicAWSCredentials("I1", "S1"); new BasicAWSCredentials("I2", "S2");`, "I1:S1 I2:S2"},
	{"java properties", "System.setProperty(\"aws.accessKeyId\", \"I1\");\nSystem.setProperty(\"aws.secretKey\", \"S1\");\n", "I1:S1"},
	{"javascript", "AWS.config.credentials = new AWS.Credentials({\n  accessKeyId: 'I1',\n  secretAccessKey: 'S1'\n});", "I1:S1"},
	{"terraform", "provider \"aws\" {\n  access_key = \"I1\"\n  secret_key = \"S1\"\n  region = \"us-east-1\"\n}\nprovider \"aws\" {\n  alias = \"b\"\n  region = \"eu-north-1\"\n  secret_key = \"S2\"\n  access_key = \"I2\"\n}\n", "I1:S1:us-east-1 I2:S2:eu-north-1"},
	{"terraform variables", "variable \"access\" {\n  default = \"I1\"\n}\n\nvariable \"secret\" {\n  default = \"S1\"\n}\n", "I1:S1"},
	{"constants", "const ACCESS_KEY = \"I1\";\n\nconst SECRET = \"S1\";\n", "I1:S1"},
	{"xml", "<aws>\n  <accessKey>I1</accessKey>\n  <secretKey>S1</secretKey>\n</aws>", "I1:S1"},
	{"xml attributes", `<add key="AWSAccessKey" value="I1"/>` + "\n" + `<add key="AWSSecretKey" value="S1"/>`, "I1:S1"},
	{"aws configure", "AWS Access Key ID [None]: I1\nAWS Secret Access Key [None]: S1\nDefault region name [None]: ap-south-1\n", "I1:S1:ap-south-1"},
	{"prefixes", "PROD_AWS_KEY_ID=I1\nDEV_AWS_KEY_ID=I2\nDEV_AWS_SECRET=S2\nPROD_AWS_SECRET=S1\n", "I1:S1 I2:S2"},
	{"ids, then secrets", "AWS_KEY_1=I1\nAWS_KEY_2=I2\nAWS_SECRET_1=S1\nAWS_SECRET_2=S2\n", "I1:S1 I2:S2"},
	{"paragraphs", "# prod\nid I1\nsecret S1\n\n# dev\nsecret S2\nid I2\n", "I1:S1 I2:S2"},
	{"temporary", "AWS_ACCESS_KEY_ID=A1 AWS_SECRET_ACCESS_KEY=S1 AWS_SESSION_TOKEN=T1", "A1:S1:T1"},
	{"id named twice", "# old key I1 is gone\n\n[a]\naws_access_key_id = I1\naws_secret_access_key = S1\n", "I1:S1"},
	{"id only", "the key is I1.", "I1"},
	{"markdown", "| key | `I1` |\n|---|---|\n| secret | `S1` |\n", "I1:S1"},
	{"log", "2026-01-01T00:00:00Z env: AWS_ACCESS_KEY_ID=I1\n2026-01-01T00:00:01Z env: AWS_SECRET_ACCESS_KEY=S1\n", "I1:S1"},
	{"python names", "ACCESS = 'I1'\nsecret_thing = 'S1'\n", "I1:S1"},
	{"unnamed beside named", "noise = S2\nid = I1\naws_secret = S1\n", "I1:S1"},

	// What is never a secret.
	{"sha1", "AWS_ACCESS_KEY_ID=I1\ncommit=" + strings.Repeat("0123456789abcdefabcd", 2), "I1"},
	{"integrity", "id: I1\n\"integrity\": \"sha512-H1\"\n", "I1"},
	{"digest named", "id: I1\ndigest: S1\n", "I1"},
	{"path", "id: I1\nfile: src/Main/java/Com/Acme/app/V2/Handler9.j\n", "I1"},
	{"camel case", "id: I1\nx = getTheVeryLongNameOfSomethingElseNumber2\n", "I1"},
	{"longer base64", "id: I1\nx = S1S2\n", "I1"},
	{"base64url", "id: I1\nx = S1_S2\n", "I1"},
	{"padded", "id: I1\nx = S1=\n", "I1"},
	{"too far and unnamed", "id: I1\n" + strings.Repeat("x\n", 400) + "x = S1\n", "I1"},
	{"part of a word", "xI1 I1x", ""},
}

var finder = literal.New(Words())

// find passes over a text for a Search.
func find(text []byte) []Found {
	var s Search
	s.Begin(text)
	for _, h := range finder.Scan(text, 0, len(text), nil) {
		s.At(h)
	}
	return s.Find(nil)
}

func TestFind(t *testing.T) {
	for seed := range uint64(5) {
		for _, p := range hidings {
			text, names := fill(p.text, newKeys(seed))
			got := describe([]byte(text), find([]byte(text)), names)
			if got != p.want {
				t.Errorf("%s (seed %d):\n got %q\nwant %q", p.name, seed, got, p.want)
			}
		}
	}
}

// fill puts keys into a text and returns their names by value.
func fill(text string, k keys) (string, map[string]string) {
	names := map[string]string{}
	var oldnew []string
	for n := 1; n <= 3; n++ {
		for _, v := range []struct{ letter, value string }{{"I", k.id()}, {"A", k.tempID()}, {"S", k.secret()}, {"T", k.token()}, {"H", k.draw(86, letters+"/+") + "=="}} {
			name := fmt.Sprint(v.letter, n)
			names[v.value] = name
			oldnew = append(oldnew, name, v.value)
			if v.letter == "S" {
				oldnew = append(oldnew, fmt.Sprint("J", n), strings.ReplaceAll(v.value, "/", `\/`),
					fmt.Sprint("U", n), strings.NewReplacer("/", "%2F", "+", "%2B").Replace(v.value))
			}
		}
	}
	return strings.NewReplacer(oldnew...).Replace(text), names
}

// describe names what was found; an id found twice is told once, with its secret.
func describe(text []byte, found []Found, names map[string]string) string {
	var order []string
	best := map[string]string{}
	for _, f := range found {
		if f.ID.empty() {
			continue
		}
		id := names[Value(text, f.ID)]
		s := id
		for _, part := range []Span{f.Secret, f.Token, f.Region} {
			if !part.empty() {
				v := Value(text, part)
				if n, ok := names[v]; ok {
					v = n
				}
				s += ":" + v
			}
		}
		if _, ok := best[id]; !ok {
			order = append(order, id)
		}
		if len(s) > len(best[id]) {
			best[id] = s
		}
	}
	slices.Sort(order)
	for i, id := range order {
		order[i] = best[id]
	}
	return strings.Join(order, " ")
}

// Regions are what an expression says they are.
func TestRegions(t *testing.T) {
	name := regexp.MustCompile(`\b(?:us|eu|ap|sa|ca|me|af|il|mx|cn)(?:-gov|-iso[a-z]?)?-(?:north|south|east|west|central)(?:east|west)?-[1-9]\b`)
	parts := strings.Fields("us eu ap me cn -gov -iso b -north - north south east -east west -west central -1 9 -2 0 _ . \" x us-east-1 eu-west-3 us-gov-west-1 us-isob-east-1")
	r := rand.New(rand.NewPCG(1, 3))
	found := 0
	for range 50000 {
		var text []byte
		for range 1 + r.IntN(9) {
			text = append(text, parts[r.IntN(len(parts))]...)
		}
		var got [][]int
		for _, m := range regions(text) {
			got = append(got, []int{m.Start, m.End})
		}
		found += len(got)
		if want := name.FindAllIndex(text, -1); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, want %v", text, got, want)
		}
	}
	if found < 1000 {
		t.Errorf("only %d regions", found)
	}
}

// TestSecrets holds what is found by looking at some bytes against what is found by looking at all.
func TestSecrets(t *testing.T) {
	long := regexp.MustCompile(`[0-9A-Za-z/+\\%]{40,}`)
	k := newKeys(9)
	seams := []string{" ", "\"", ".", "-", "_", "\n", "$", "&", "\x00", "\x7f", "é", "%", "\\n", "/"}
	found := 0
	for range 20000 {
		var text []byte
		for range 1 + k.r.IntN(8) {
			switch k.r.IntN(3) {
			case 0:
				text = append(text, k.secret()...)
			default:
				text = append(text, k.draw(k.r.IntN(44), letters)...)
			}
			for range k.r.IntN(3) {
				text = append(text, seams[k.r.IntN(len(seams))]...)
			}
		}
		var want []mark
		for _, m := range long.FindAllIndex(text, -1) {
			want = runs(text, m[0], m[1], want)
		}
		found += len(want)
		if got := secrets(text, fresh.Span{Hi: len(text)}, nil, nil); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q:\n%v, want\n%v", text, got, want)
		}
	}
	if found < 1000 {
		t.Errorf("only %d secrets", found)
	}
}

// BenchmarkSearch passes over text without a credential, whose words have been looked for in passing.
func BenchmarkSearch(b *testing.B) {
	source, err := os.ReadFile("scan.go")
	if err != nil {
		b.Fatal(err)
	}
	text := bytes.Repeat(source, 64)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var s Search
	for b.Loop() {
		s.Begin(text)
		s.Find(nil)
	}
}
