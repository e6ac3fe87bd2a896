package credfile

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// draw makes a value that is nobody's password, the same in every run: letters and digits, so that every format can hold it.
func draw(r *rand.Rand, n int) string {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b) + "7q"
}

// hidings hold values as P1, P2, in base64 as B(…). What must be found is owner:value, in order; a "-" stands for no owner.
var hidings = []struct{ path, text, want string }{
	// Clients of registries, containers and version control.
	{".netrc", "machine git.example.com login ci password P1\nmachine b\n\tlogin x\n\tpassword \"P2\"\n", "ci:P1 x:P2"},
	{"home/_netrc", "default login anonymous password P1\n\nmacdef init\nput password P3\n\nmachine c login d password P2\n", "anonymous:P1 d:P2"},
	{".netrc", "# machine a login b password P3\nmachine a password P1 login b", "b:P3 -:P1"},
	{".authinfo", "machine imap.example.com login u port 993 password P1\n", "u:P1"},
	{".git-credentials", "https://ci:P1@git.example.com\nhttps://x%40y:P2%21@host\n", "ci:P1 x@y:P2!"},
	{".git-credentials", "https://u@example.com:P1!#@498@github.com\n", "u@example.com:P1!#@498"},
	{".npmrc", "//registry.npmjs.org/:_authToken=P1\n_auth = B(me:P2)\n//r.example.com/:_password=\"B(P3)\"\nemail=a@b.c\n", "-:P1 me:P2 -:P3"},
	{".npmrc", "//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n_auth=\n", ""},
	{".yarnrc", "registry \"https://npm.example.com\"\n\"//npm.example.com/:_authToken\" \"P1\"\n", "-:P1"},
	{".yarnrc.yml", "npmRegistries:\n  \"https://npm.example.com\":\n    npmAuthToken: \"P1\"\n    npmAuthIdent: ci:P2\n", "-:P1 ci:P2"},
	{".pypirc", "[distutils]\nindex-servers = pypi\n\n[pypi]\nusername = __token__\npassword = P1\n", "__token__:P1"},
	{"pip.conf", "[global]\nindex-url = https://ci:P1@pypi.example.com/simple\n", "ci:P1"},
	{".cargo/credentials.toml", "[registry]\ntoken = \"P1\"\n", "-:P1"},
	{".gem/credentials", "---\n:rubygems_api_key: P1\n", "-:P1"},
	{".composer/auth.json", `{"http-basic": {"repo.example.com": {"username": "u", "password": "P1"}}, "github-oauth": {"github.com": "P2"}}`, "u:P1 -:P2"},
	{"NuGet.Config", "<configuration><packageSourceCredentials><Feed>\n<add key=\"Username\" value=\"u\" />\n<add key=\"ClearTextPassword\" value=\"P1\" />\n</Feed></packageSourceCredentials></configuration>", "u:P1"},
	{"helm/repositories.yaml", "repositories:\n- name: x\n  username: u\n  password: P1\n  url: https://charts\n", "u:P1"},
	{".m2/settings.xml", "<settings><servers><server><id>r</id><username>u</username><password>P1</password></server>\n<server><username>v</username><password>{COQLCE6DU6GtcS5P=}</password></server>\n<server><username>w</username><password>${env.PW}</password></server></servers></settings>", "u:P1"},
	{"settings.xml", "<settings><servers><server><httpHeaders><property><name>Private-Token</name><value>P1</value></property></httpHeaders></server></servers></settings>", "-:P1"},
	{".m2/settings-security.xml", "<settingsSecurity><master>{B(P1)}</master></settingsSecurity>", "-:B(P1)"},
	{".docker/config.json", `{"auths": {"r.example.com": {"auth": "B(u:P1)"}, "s": {"identitytoken": "P2"}}, "credsStore": "x"}`, "u:P1 -:P2"},
	{"key.jwk", `{"kty": "EC", "crv": "P-256", "x": "P1", "d": "P2"}`, "-:P2"},
	{"app.json", `{"keys": [{"kty": "OKP", "d": "P1", "x": "P2"}]}`, "-:P1"},
	{"jwks.json", `{"keys": [{"kty": "EC", "x": "P1", "y": "P2"}]}`, ""},
	{"secret.yaml", "kind: Secret\ndata:\n  .dockerconfigjson: B({\"auths\": {\"r.example.com\": {\"username\": \"u\", \"password\": \"P1\"}}})\n", "u:P1"},
	{"minio.env", "MINIO_ACCESS_KEY=admin\nMINIO_SECRET_KEY=P1\n", "-:P1"},
	{".dockercfg", `{"https://index.docker.io/v1/": {"auth": "B(u:P1)", "email": "x@y"}}`, "u:P1"},
	{".htdigest", "u:realm:0123456789abcdef0123456789abcdef\n", "u:0123456789abcdef0123456789abcdef"},
	{"", `{"auths": {"r.example.com": {"auth": "B(u:P1)"}}}`, "u:P1"},
	{".hgrc", "[auth]\nacme.prefix = hg.example.com\nacme.username = u\nacme.password = P1\n", "u:P1"},
	{".config/hub", "github.com:\n- user: u\n  oauth_token: P1\n  protocol: https\n", "u:P1"},
	{"gh/hosts.yml", "github.com:\n    user: u\n    oauth_token: P1\n", "u:P1"},
	{".subversion/auth/svn.simple/0123", "K 8\npasstype\nV 6\nsimple\nK 8\npassword\nV 10\nP1\nK 8\nusername\nV 1\nu\nEND\n", "-:P1"},

	// Databases.
	{".pgpass", "# c\ndb.example.com:5432:app:u:P1\n*:*:*:v:a\\:P2\n", "u:P1 v:a:P2"},
	{".pgpass", "localhost:5432:database:root:password\n", "root:password"},
	{".my.cnf", "[client]\nuser = u\npassword = \"P1\"\n", "u:P1"},
	{"config/database.yml", "production:\n  adapter: mysql2\n  username: u\n  password: P1\ntest:\n  password: <%= ENV['PW'] %>\ndevelopment:\n  password:\n", "u:P1"},
	{".dbeaver/credentials-config.json", `{"x": {"#connection": {"user": "u", "password": "P1"}}}`, "u:P1"},
	{"db/robomongo.json", `{"connections": [{"credentials": [{"userName": "u", "userPassword": "P1"}], "sshUserName": "v", "sshUserPassword": "P2"}]}`, "u:P1 v:P2"},
	{"dump.sql", "INSERT INTO users VALUES (1, 'a', '$2y$12$s.YfVZdfvAuO/Iz6fte5iO..ZbbEgreZnDcYOGvX4NGJskYQIstcG');", "-:$2y$12$s.YfVZdfvAuO/Iz6fte5iO..ZbbEgreZnDcYOGvX4NGJskYQIstcG"},
	{".htpasswd", "admin:$apr1$tp8glkbm$fjg65tI1eipoBh62aEjIy0\nold:rqXexS6ZhobKA\n", "admin:$apr1$tp8glkbm$fjg65tI1eipoBh62aEjIy0 old:rqXexS6ZhobKA"},
	{"shadow.txt", "var users = []string{\n\t\"a.b@c:$apr1$tp8glkbm$fjg65tI1eipoBh62aEjIy0\"}", "a.b@c:$apr1$tp8glkbm$fjg65tI1eipoBh62aEjIy0"},
	{"etc/shadow", "root:*:1:0:99999:7:::\nu:$6$LnUhhUi45srUKt9i$4Hp6VRTOB2mxvsYH8mwsCfBryg6hCbm4JJjV26KplN8ewZ7EUVqQDkLKDW:17431:0:99999:7:::\n", "u:$6$LnUhhUi45srUKt9i$4Hp6VRTOB2mxvsYH8mwsCfBryg6hCbm4JJjV26KplN8ewZ7EUVqQDkLKDW"},

	// Clusters.
	{".kube/config", "apiVersion: v1\nkind: Config\nusers:\n- name: admin\n  user:\n    token: P1\n- name: b\n  user:\n    client-certificate-data: B(cert)\n    client-key-data: B(P2)\n    username: u\n    password: P3\n", "-:P1 u:P2 u:P3"},
	{"deploy/any.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\n  labels: {a: b}\ndata:\n  password: B(P1)\n  other: \"B(P2)\"\nstringData:\n  third: P3\n", "-:P1 -:P2 -:P3"},
	{"x.yaml", "kind: Secret\nstringData:\n  a: ${PW}\n  b: <password>\n  c: {{ .Values.pw }}\n", ""},
	{".vault-token", "P1P2\n", "-:P1P2"},

	// Infrastructure as code.
	{"terraform.tfstate", `{"version": 4, "terraform_version": "1.9", "serial": 3, "outputs": {"db": {"value": "P1", "type": "string", "sensitive": true}, "host": {"value": "P3", "type": "string"}}, "resources": [{"instances": [{"attributes": {"username": "u", "password": "P2", "secret_id": "x", "private_key": ""}}]}]}`, "-:P1 u:P2"},
	{"x.tfstate", `{"resources": [{"type": "random_password", "instances": [{"attributes": {"bcrypt_hash": "x", "length": 16, "result": "P1"}}]}]}`, "-:P1"},
	{"prod.auto.tfvars", "region = \"eu\"\ndb_password = \"P1\"\nother = var.db_password\napi_key = \"\"\n", "-:P1"},
	{"x.tfvars.json", `{"db_password": "P1", "size": 3}`, "-:P1"},
	{"main.tf", "variable \"db_password\" {\n  default = \"P1\"\n}\nvariable \"db_user\" {\n  default = \"u\"\n}\nresource \"x\" \"y\" {\n  username = \"u\"\n  password = \"P2\"\n}\n", "-:P1 u:P2"},
	{"main.tf", "password = random_password.db1.result\ntoken = \"${var.token}\"\nkey = \"prod/terraform.tfstate\"\n", ""},
	{".terraformrc", "credentials \"app.terraform.io\" {\n  token = \"P1\"\n}\n", "-:P1"},
	{"group_vars/all.yml", "ansible_user: u\nansible_password: P1\ndb_pass: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\nother: \"{{ lookup('env') }}\"\n", "u:P1"},
	{"inventory/hosts", "[web]\nh1 ansible_user=u ansible_password=P1 ansible_become_pass='P2'\n", "u:P1 -:P2"},
	{"inventory.ini", "h1 ansible_ssh_pass=P1\n", "-:P1"},

	// Cloud command lines.
	{".aws/credentials", "[default]\naws_access_key_id = id\naws_secret_access_key = P1\n", "id:P1"},
	{".s3cfg", "[default]\naccess_key = id\nsecret_key = P1\n", "id:P1"},
	{".boto", "[Credentials]\ngs_secret_access_key = P1\n", "-:P1"},
	{"application_default_credentials.json", `{"client_id": "c", "client_secret": "P1", "refresh_token": "P2", "type": "authorized_user"}`, "c:P1 c:P2"},
	{".azure/accessTokens.json", `[{"refreshToken": "P1", "accessToken": "P2"}]`, "-:P1 -:P2"},
	{"rclone.conf", "[s3]\ntype = s3\nsecret_access_key = P1\n[ftp]\nuser = u\npass = P2\n", "-:P1 u:P2"},
	{".databrickscfg", "[DEFAULT]\nhost = https://x\ntoken = P1\n", "-:P1"},
	{".snowsql/config", "[connections]\nusername = u\npassword = P1\n", "u:P1"},
	{".config/doctl/config.yaml", "access-token: P1\ncontext: default\n", "-:P1"},
	{"credentials.tfrc.json", `{"credentials": {"app.terraform.io": {"token": "P1"}}}`, "-:P1"},

	// Web applications.
	{".env", "APP_ENV=local\nDB_PASSWORD=P1\nexport JWT_SECRET='P2'\nDB_USER=root\nAPP_KEY=base64:P3=\nEMPTY_TOKEN=\nTOKEN_URL=https://x\nSESSION_TOKEN_NAME=P4\n", "root:P1 -:P2 -:base64:P3="},
	{".env.production", "DATABASE_URL=postgres://app:P1@db.internal:5432/app\nMAIL_PASSWORD=changeme\nX_SECRET=your-secret-here\nY_SECRET=${Z}\n", "app:P1"},
	{"prod.env", "REDIS_PASSWORD=P1 # comment\n", "-:P1"},
	{".env.example", "DB_PASSWORD=P1\n", ""},
	{"backup/.env.bak", "DB_PASSWORD=P1\n", "-:P1"},
	{"site/settings.py", "SECRET_KEY = 'P1'\nDEBUG = True\nDATABASES = {'default': {'USER': 'u', 'PASSWORD': 'P2'}}\nSECRET_KEY_FALLBACK = os.environ['X']\n", "u:P1 u:P2"},
	{"wp-config.php", "define( 'DB_USER', 'u' );\ndefine('DB_PASSWORD', 'P1');\ndefine( 'AUTH_KEY', 'P2 with $ and \\' in' );\n", "u:P1 -:P2 with $ and ' in"},
	{"configuration.php", "<?php\nclass JConfig {\n\tpublic $user = 'u';\n\tpublic $password = 'P1';\n\tpublic $secret = 'P2';\n}\n", "u:P1 u:P2"},
	{"LocalSettings.php", "$wgDBuser = \"u\";\n$wgDBpassword = \"P1\";\n$wgSecretKey = \"P2\";\n", "-:P1 -:P2"},
	{"sites/default/settings.php", "$databases['default']['default'] = array(\n  'username' => 'u',\n  'password' => 'P1',\n);\n$settings['hash_salt'] = 'P2';\n", "u:P1 u:P2"},
	{"phpmyadmin/config.inc.php", "$cfg['Servers'][$i]['password'] = 'P1';\n$cfg['blowfish_secret'] = 'P2';\n", "-:P1 -:P2"},
	{"config/master.key", "0123456789abcdef0123456789abcdef\n", "-:0123456789abcdef0123456789abcdef"},
	{"config/secrets.yml", "production:\n  secret_key_base: P1P2\n", "-:P1P2"},
	{"config/initializers/secret_token.rb", "App::Application.config.secret_key_base = 'P1'\n", "-:P1"},
	{"gradle.properties", "org.gradle.jvmargs=-Xmx2g\nsigning.password=P1\nnexusPassword=P2\n", "-:P1 -:P2"},
	{"application.properties", "spring.datasource.username=u\nspring.datasource.password=P1\nspring.x.password=${PW}\nspring.y.password=ENC(abc)\n", "u:P1"},
	{"application.yml", "spring:\n  datasource:\n    username: u\n    password: P1\n  mail:\n    password: \"{cipher}abc\"\n", "u:P1"},
	{"application-prod.yml", "spring:\n  datasource:\n    username: u\n    password: P1\n", "u:P1"},
	{"docker-compose.prod.yml", "services:\n  db:\n    environment:\n      MYSQL_ROOT_PASSWORD: P1\n", "-:P1"},
	{"conf/hive-site.xml", "<configuration><property><name>javax.jdo.option.ConnectionPassword</name><value>P1</value></property></configuration>", "-:P1"},
	{"appsettings.json", "{\n // c\n \"ConnectionStrings\": {\"Db\": \"Server=db;User Id=u;Password=P1;\"},\n \"Jwt\": {\"Secret\": \"P2\"},\n}", "u:P1 -:P2"},
	{"web.config", "<add name=\"x\" connectionString=\"Data Source=db;User ID=u;Password=P1\"/>", "u:P1"},
	{"docker-compose.yml", "services:\n  db:\n    environment:\n      MYSQL_ROOT_PASSWORD: P1\n      - POSTGRES_PASSWORD=P2\n", "-:P1 -:P2"},
	{"salesforce.js", "let c = new jsforce.Connection();\nc.login('u@x', 'P1', function() {});\n", "u@x:P1"},

	// File transfer, editors, mail.
	{".ftpconfig", `{"host": "h", "user": "u", "pass": "P1", "passphrase": ""}`, "u:P1"},
	{"sftp-config.json", "{\n // The tab key\n \"user\": \"u\",\n \"password\": \"P1\",\n //\"password\": \"P2\",\n}", "u:P1"},
	{".vscode/sftp.json", `[{"username": "u", "password": "P1"}]`, "u:P1"},
	{"filezilla/sitemanager.xml", "<FileZilla3><Servers><Server><Host>h</Host><User>u</User><Pass encoding=\"base64\">B(P1)</Pass></Server><Server><Host>i</Host><User>v</User><Pass>P2</Pass></Server></Servers></FileZilla3>", "u:P1 v:P2"},
	{".idea/WebServers.xml", `<fileTransfer host="h" port="21" password="dff9dfcf" username="root">`, "root:Se"},
	{"WinSCP.ini", "[Sessions\\x]\nHostName=h\nUserName=u\nPassword=P1\n", "u:P1"},
	{".msmtprc", "account default\nhost h\nuser u\npassword P1\n", "u:P1"},
	{".muttrc", "set imap_user=u\nset imap_pass=\"P1\"\nset smtp_pass='P2'\n", "u:P1 -:P2"},
	{".fetchmailrc", "poll h proto imap user \"u\" password \"P1\"\n", "u:P1"},
	{"ventrilo_srv.ini", "[Server]\nAdminPassword=P1\nPassword=P2\n", "-:P1 -:P2"},
	{"etc/exim4/passwd.client", "# target:login:password\nmail.example.com:u:P1\n*:v:P2\n", "u:P1 v:P2"},
	{"office.ovpn", "client\nremote vpn.example.com\n<auth-user-pass>\nu\nP1\n</auth-user-pass>\n", "u:P1"},
	{"office.ovpn", "client\nauth-user-pass /etc/openvpn/login\n", ""},
	{"snmpd.conf", "rocommunity public\ncreateUser u SHA \"P1\" AES\n", "u:P1"},
	{"etc/ldap/ldap.conf", "BASE dc=example\nbinddn cn=u,dc=example\nbindpw P1\n", "-:P1"},
	{"etc/pam_ldap.secret", "P1\n", "-:P1"},
	{".config/lftp/rc", "set ftp:ssl-force yes\nopen -u u,P1 ftp.example.com\n", "u:P1"},
	{".mongorc.js", "db = db.getSiblingDB('x');\ndb.auth(\"u\", \"P1\");\n", "u:P1"},
	{"logins.json", `{"logins": [{"encryptedUsername": "P1", "encryptedPassword": "P2"}]}`, "-:P1 -:P2"},

	// Command lines.
	{".bash_history", "ls\nmysql -u root -pP1 app\nsshpass -p 'P2' ssh h\ncurl -u u:P3 https://x\n", "-:P1 -:P2 u:P3"},
	{"deploy.sh", "#!/bin/sh\nexport X_PASSWORD=P1\ntool --password=P2 --token $TOKEN\nPGPASSWORD=P3 psql\necho ${PASSWORD}\n", "-:P1 -:P2 -:P3"},
	{"Dockerfile", "FROM x\nENV DB_PASSWORD P1\nENV A_TOKEN=P2\nARG B_SECRET=\n", "-:P1 -:P2"},
	{"ci.sh", "docker login -u u -p P1 r.example.com\necho \"P2\" | docker login --password-stdin\nredis-cli -a P3 ping\n", "u:P1 -:P2 -:P3"},

	{"sudo.sh", "echo 'P1' | sudo -S apt-get update\necho P2|sudo -k -S true\n", "-:P1 -:P2"},
	{"ftp.sh", "lftp -u u,P1 ftp.example.com\nncftpput -u u -p P2 ftp.example.com / f\nexport GITHUB_PAT=P3\n", "u:P1 -:P2 -:P3"},
	{"x.ps1", "$p = ConvertTo-SecureString \"P1\" -AsPlainText -Force\n$q = ConvertTo-SecureString $env:PW -AsPlainText -Force\n", "-:P1"},
	{"x.bat", "net use Z: \\\\s\\d P1 /user:d\\u\r\nnet use \\\\s\\d /user:u P2\r\n", "-:P1 u:P2"},

	// Anywhere.
	{"a.yml", "run: echo \"machine git.example.com login u password P1\" > ~/.netrc\n", "u:P1"},
	{"Dockerfile", "RUN printf \"machine git.example.com\\nlogin u\\npassword P1\\n\" > ~/.netrc\n", "u:P1"},
	{"a.sh", "git clone https://4f7a1c9e2b8d6035a1b2c3d4e5f60718@gitlab.example.org/x.git", "-:4f7a1c9e2b8d6035a1b2c3d4e5f60718"},
	{"a.sh", "git clone https://4f7a1c9e2b8d6035a1b2c3d4e5f60718:x-oauth-basic@github.com/x.git", "-:4f7a1c9e2b8d6035a1b2c3d4e5f60718"},
	{"a.cs", "var c = new NetworkCredential(\"u\", \"P1\");", "u:P1"},
	{"build.sbt", "credentials += Credentials(\"Realm\", \"repo.example.org\", \"u\", \"P1\")", "u:P1"},
	{"app/build.gradle", "signingConfigs {\n  release {\n    storePassword \"P1\"\n    keyPassword = 'P2'\n    keyAlias \"a\"\n    password = nexusPassword1\n  }\n}\n", "-:P1 -:P2"},
	{"x.yaml", "kind: \"Secret\"\ndata:\n  a: \"B(P1)\"\n", "-:P1"},
	{"run.sh", "sqlplus -s u/P1@db.example.org @x.sql\n", "u:P1"},
	{"a.txt", "machine a.example.com\n  login u\n  password P1\n", "u:P1"},
	{"a.go", "db, err := sql.Open(\"mysql\", \"u:P1@tcp(db.example.org:3306)/x\")", "u:P1"},
	{"a.java", "\"jdbc:oracle:thin:u/P1@//db.example.org:1521/x\"", "u:P1"},
	{"a.php", "$c = mysqli_connect(\"db.acme.org\", \"u\", 'P1', \"x\"); $d = new PDO($dsn, 'v', 'P2');", "u:P1 v:P2"},
	{"a.py", "connect(host=\"db\", user=\"u\", password=\"P1\")", "-:P1"},
	{"", "see https://u:P1@git.example.com/x.git and redis://:P2@cache:6379/0\n", "u:P1 -:P2"},
	{"a.go", "dsn := \"postgresql+asyncpg://u:P1%21@db/app\"", "u:P1!"},
	{"a.txt", "mongodb+srv://u:P1@cluster0.abc.mongodb.net/?retryWrites=true", "u:P1"},
	{"a.txt", "amqp://u:P1/with#P2@mq:5672/v", "u:P1/with#P2"},
	{"a.cs", "var c = \"Server=tcp:db.example.net,1433;Initial Catalog=x;User ID=u;Password=P1;Encrypt=True\";", "u:P1"},
	{"a.txt", "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=P1P2==;EndpointSuffix=core.windows.net", "acc:P1P2=="},
	{"a.java", "String u = \"jdbc:mysql://db/app?user=u&password=P1\";", "u:P1"},
	{"a.txt", "host=db port=5432 user=u password=P1 dbname=x", "u:P1"},
	{"a.http", "GET / HTTP/1.1\nAuthorization: Basic B(u:P1)\n", "u:P1"},
	{"a.js", "headers: { 'Authorization': 'Basic B(u:P1)' }", "u:P1"},
	{"a.http", "Authorization: Bearer P1P2\n", "-:P1P2"},

	{"a.yml", "kind: Deployment\nspec:\n  env:\n  - name: DB_PASSWORD\n    value: P1\n  - name: MODE\n    value: P2\n  - name: X_SECRET\n    value: x-operator\n  - name: TOKEN\n    valueFrom:\n      secretKeyRef: {name: x1, key: y2}\n", "-:P1"},
	{"task.json", `{"containerDefinitions": [{"environment": [{"name": "DB_PASSWORD", "value": "P1"}, {"name": "MODE", "value": "P2"}]}]}`, "-:P1"},
	{"cloudformation.yaml", "Parameters:\n  DBPassword:\n    Default: P1\n    NoEcho: true\n  Size:\n    Default: P2\n", "-:P1"},

	// Rare files.
	{".cvspass", "/1 :pserver:u@cvs.example.org:2401/x AP1\n", "-:P1"},
	{".curlrc", "user = \"u:P1\"\nproxy-user v:P2\nuser-agent = \"x:y\"\n", "u:P1 v:P2"},
	{".wgetrc", "http_user = u\nhttp_password = P1\n", "u:P1"},
	{"etc/ipsec.secrets", "# c\n%any : PSK \"P1\"\nu : EAP \"P2\"\n: RSA key.pem\n", "%any:P1 u:P2"},
	{"ppp/chap-secrets", "# client server secret ip\nu * \"P1\" *\n", "u:P1"},
	{"postfix/sasl_passwd", "[smtp.example.org]:587 u:P1\n", "u:P1"},
	{"users.acl", "user app on >P1 ~* +@all\nuser default off\n", "app:P1"},
	{"haproxy.cfg", "userlist x\n  user a insecure-password P1\nlisten s\n  stats auth admin:P2\n", "a:P1 -:P2"},
	{"unattend.xml", "<u><AdministratorPassword><Value>P1</Value><PlainText>true</PlainText></AdministratorPassword></u>", "-:P1"},
	{"init.sql", "CREATE USER a WITH PASSWORD 'P1';\ncreate user b identified by 'P2';\nSELECT 'password', ':password';\n", "-:P1 -:P2"},
	{"Makefile", "DB_PASSWORD ?= P1\nX_TOKEN := $(shell cat x)\n", "-:P1"},
	{"Vagrantfile", "env: {\"DB_PASSWORD\" => \"P1\", \"A_TOKEN\" => params[:foo1]}\n", "-:P1"},

	// What is none.
	{"x.yaml", "kind: Secret\nstringData: # filled in by the operator\n  client_id: # set the id here\n  client_secret: # set the secret here\n  pw: P1 # set\n", "-:P1"},
	{".cargo/config.toml", "[target.i686-pc-windows-gnu]\nlinker = \"P1\"\n[registry]\ntoken = \"P2\"\n", "-:P2"},
	{"x.yaml", "kind: ConfigMap\ndata:\n  password: B(P1)\n---\nkind: Secret\ndata:\n  username: B(P2)\n  ca.crt: B(-----BEGIN CERTIFICATE-----)\n  pw: B(P3)\n", "P2:P3"},
	{"x.go", "var help = `kind: Secret`\nvar auths = `{\"auths\": {\"auth\": \"P1\"}}`\n", ""},
	{".github/workflows/ci.yml", "credentials: {username: u, password: \"${{ secrets.X }}\"}\nenv: {A: b, DB_PASSWORD: P1}\nAPI_TOKEN: *token\nDB_PASSWORD: !reference [.x, y]\n", "-:P1"},
	{".github/workflows/ci.yml", "env:\n  A_TOKEN: &token P1\n  B_TOKEN: *token\n  C_TOKEN: &all\n  D_TOKEN: &d {a: b}\n", "-:P1"},
	{"deploy.sh", "f() { PASSWORD='P1}'; }\nx: {a: b, 'DB_PASSWORD': \"P2]}\"}\n", "-:P1} -:P2]}"},
	{"deploy.sh", `curl -d '{"user": "u", "password": "P1"}' https://example.com; f() { a, key: b; }`, "-:P1"},
	{".github/workflows/ci.yml", "permissions:\n  id-token: write\nenv:\n  TOKEN: ${{ secrets.X }}\n  CACHE_KEY: linux-build-P1\n", ""},
	{".github/workflows/ci.yml", "with:\n  secrets: \"BW-APP-ID,BW-APP-KEY\"\nenv:\n  SECRET_NAMES: 'a_token,another_token'\n  POSTGRES_PASSWORD: postgres\n  A_TOKEN: oidc\nwith:\n  key: maestro-00f516729f57d48f36ded55244cfbe358ada6b00-linux\n", ""},
	{"tee.sh", "echo 'x4Bq7Rt9Lm2Z options nouveau' | sudo tee /etc/modprobe.d/x.conf\necho x4Bq7Rt9Lm2Z | sudo tee -a /etc/issue\n", ""},
	{"run.sh", "TAG_KEY=TestKey\nPASSWORD=$1\nTOKEN=$(get)\nSECRET=\"$OTHER\"\n# PASSWORD=P1\nread -s PASSWORD\n", ""},
	{"application.properties", "a.secret=if_you_see_this_use_vault\nb.password=ACTUAL_ANSWER_7\nc.token=00000000-0000-0000\nd.password-file=/x/P1\n", ""},
	{"settings.py", "SECRET_KEY = 'your-secret-key'\nPASSWORD_HASHERS = ['P1']\nAUTH_PASSWORD_VALIDATORS = 'django.contrib'\n", ""},
	{"id_rsa.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP1 u@h\n-----BEGIN PUBLIC KEY-----\nB(P1P2P3P4)\n-----END PUBLIC KEY-----\n", ""},
	{"x.pem", "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nB(P1P2P3P4P1P2P3)\n-----END CERTIFICATE-----\n", ""},
	{"vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n36316431\n", ""},
	{"secrets.yaml", "password: ENC[AES256_GCM,data:P1,type:str]\ntoken: ref+vault://x#P1\nkey: op://v/i/P1\nsecret: vault:x/P1\n", ""},
	{"a.txt", "http://user:pass@example.com http://user:password@localhost http://${U}:${P}@h http://u:<pw>@h ftp://h:21/x@y http://%s:%s@h postgres://postgres:postgres@localhost/x", ""},
	{"a.txt", "Authorization: Basic B(user:password) Authorization: Bearer ${TOKEN} Authorization: Bearer your-token-here-please1", ""},
	{"a.go", "var calls = []string{\"mysqli_connect(\", \"ftp_login(\", \"imap_open4(\", \"new mysqli(\"}", ""},
	{"notes.txt", "It looks for entries such as machine NAME login USER password SECRET.\n", ""},
	{"a.php", "mysqli_connect(\"localhost\", \"my_user\", \"my_password\", \"world\"); new PDO($dsn, 'root', ''); new mysqli('localhost', 'root', 'root');", ""},
	{"a.sh", "git clone https://contosoengineering2020@dev.azure.com/x https://4f7a1c9e2b8d6035a1b2c3d4e5f60718@o1.ingest.sentry.io/1", ""},
	{"values.yaml", "existingSecret: release2-db\nimagePullSecret: regcred2\n", ""},
	{"a.py", "connect(host=\"db\", password=password) + connect(host=h, password=\"a\" + P1)\nf(password=\"P1\")", ""},
	{"a.txt", "a machine that can login with a password P1; machine x login y password mypassword; user:password@tcp(localhost:3306)/x scott/tiger@db", ""},
	{"a.txt", "Server=db;User Id=u;Password={0};Server=x;Password=%PW%;Uid=u;Pwd=$(PW)", ""},
}

func TestParse(t *testing.T) {
	for seed := range uint64(3) {
		for _, h := range hidings {
			put := putter(seed)
			text, want := put(h.text), put(h.want)
			var got []string
			for _, c := range Parse(h.path, []byte(text)) {
				owner := c.ID
				if owner == "" {
					owner = "-"
				}
				got = append(got, owner+":"+c.Value)
				if c.Start < 0 || c.End > len(text) || c.Start >= c.End {
					t.Errorf("%s: bounds %d-%d", h.path, c.Start, c.End)
				} else if raw := text[c.Start:c.End]; !strings.Contains(text, raw) || strings.HasPrefix(raw, " ") {
					t.Errorf("%s: bounds hold %q", h.path, raw)
				}
			}
			if g := strings.Join(got, " "); g != want {
				t.Errorf("%s (seed %d) %q:\n got %q\nwant %q", h.path, seed, h.text[:min(40, len(h.text))], g, want)
			}
		}
	}
}

// Keys are told apart by what they are, and those under a passphrase by what they say.
func TestKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	block := func(label, body string) string {
		return "-----BEGIN " + label + "-----\n" + body + "\n-----END " + label + "-----"
	}
	body := base64.StdEncoding.EncodeToString([]byte(draw(r, 200)))
	bare := base64.StdEncoding.EncodeToString([]byte("openssh-key-v1\x00\x00\x00\x00\x04none\x00\x00\x00\x04none" + draw(r, 100)))
	locked := base64.StdEncoding.EncodeToString([]byte("openssh-key-v1\x00\x00\x00\x00\x0aaes256-ctr\x00\x00\x00\x06bcrypt" + draw(r, 100)))
	putty := "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: %s\nComment: x\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 2\n" + body[:64] + "\n" + body[64:100] + "\nPrivate-MAC: 00\n"
	store := append([]byte{0x30, 0x82, 9, 0, 2, 1, 3, 0x30, 0x82, 8, 0, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}, make([]byte, 100)...)
	pem := "RSA " + "PRIVATE KEY"
	for _, c := range []struct{ name, text, want string }{
		{"pem", block(pem, body), "pem-private-key"},
		{"pkcs8", "x\n" + block(pem[4:], body) + "\ny", "pem-private-key"},
		{"indented", "key: |\n  " + strings.ReplaceAll(block(pem, body), "\n", "\n  "), "pem-private-key"},
		{"in a string", `{"private_key": "` + strings.ReplaceAll(block(pem, body), "\n", `\n`) + `\n"}`, "pem-private-key"},
		{"openssh", block("OPENSSH "+pem[4:], bare), "pem-private-key"},
		{"openssh, locked", block("OPENSSH "+pem[4:], locked), "encrypted-private-key"},
		{"pkcs8, locked", block("ENCRYPTED "+pem[4:], body), "encrypted-private-key"},
		{"pem, locked", block(pem, "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"+body), "encrypted-private-key"},
		{"pgp", block("PGP "+pem[4:]+" BLOCK", "Version: x\n\n"+body+"\n=abcd"), "pgp-private-key"},
		{"putty", fmt.Sprintf(putty, "none"), "pem-private-key"},
		{"putty, locked", fmt.Sprintf(putty, "aes256-cbc"), "encrypted-private-key"},
		{"pkcs12", string(store), "keystore"},
		{"java", "\xfe\xed\xfe\xed\x00\x00\x00\x02" + strings.Repeat("x", 100), "keystore"},
		{"cut off, then whole", "-----BEGIN " + pem + "-----\n" + body + "\n" + block("EC "+pem[4:], body), "pem-private-key"},
		{"cut off", "-----BEGIN " + pem + "-----\n" + body, ""},
	} {
		var got []string
		for _, f := range Parse("", []byte(c.text)) {
			got = append(got, f.Rule)
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s: got %q, want %q", c.name, g, c.want)
		}
	}
}

// The login path file of MySQL is written here as its client does it.
func TestLoginPath(t *testing.T) {
	key := []byte("0123456789abcdefghij")
	var folded [16]byte
	for i, b := range key {
		folded[i%16] ^= b
	}
	block, err := aes.NewCipher(folded[:])
	if err != nil {
		t.Fatal(err)
	}
	password := draw(rand.New(rand.NewPCG(1, 1)), 12)
	file := append(make([]byte, 4), key...)
	for _, line := range []string{"[client]\n", "user = \"u\"\n", "password = \"" + password + "\"\n"} {
		pad := 16 - len(line)%16
		line += strings.Repeat(string(rune(pad)), pad)
		file = binary.LittleEndian.AppendUint32(file, uint32(len(line)))
		for i := 0; i < len(line); i += 16 {
			var out [16]byte
			block.Encrypt(out[:], []byte(line[i:i+16]))
			file = append(file, out[:]...)
		}
	}
	found := Parse("home/.mylogin.cnf", file)
	if len(found) != 1 || found[0].ID != "u" || found[0].Value != password {
		t.Errorf("found %d credentials", len(found))
	}
}

// putter returns a function that puts values into a text.
func putter(seed uint64) func(string) string {
	r := rand.New(rand.NewPCG(seed, 7))
	values := map[string]string{}
	for n := range 4 {
		values[fmt.Sprint("P", n+1)] = draw(r, 16)
	}
	return func(s string) string {
		for k, v := range values {
			s = strings.ReplaceAll(s, k, v)
		}
		for {
			i := strings.Index(s, "B(")
			if i < 0 {
				return s
			}
			j := i + strings.IndexByte(s[i:], ')')
			s = s[:i] + base64.StdEncoding.EncodeToString([]byte(s[i+2:j])) + s[j+1:]
		}
	}
}

func TestRules(t *testing.T) {
	known := map[string]bool{}
	for _, r := range Rules() {
		if known[r.ID] {
			t.Errorf("rule %s is listed twice", r.ID)
		}
		known[r.ID] = true
		if r.Title == "" || r.Help == "" || r.CWE == 0 || r.Severity.Rank() < 0 || len(r.Fix) == 0 {
			t.Errorf("rule %s is not complete", r.ID)
		}
	}
	for _, f := range formats {
		if !known[f.rule] {
			t.Errorf("rule %s is not listed", f.rule)
		}
		if (f.doc == nil) == (f.find == nil) {
			t.Errorf("format %s %.30s has not one reader", f.rule, f.files)
		}
	}
}

func TestWants(t *testing.T) {
	for path, want := range map[string]bool{
		".netrc": true, "a/b/.env.local": true, "x.tfstate": true, "Dockerfile.prod": true, "src/.Docker/config.json": true, "a.zip!home/.pgpass": true,
		".github/workflows/ci.yml": true, `C:\Users\x\.npmrc`: true, ".env~": true,
		"": false, "main.go": false, "a/": false, "/": false, ".": false, "README.md": false, ".env.sample": false, "x!": false,
	} {
		if got := Wants(path); got != want {
			t.Errorf("Wants(%q) = %v", path, got)
		}
	}
}

// FuzzParse holds that bounds lie in the content and in order, and that what a path does not want it does not change.
func FuzzParse(f *testing.F) {
	put := putter(1)
	for _, h := range hidings {
		f.Add(h.path, []byte(put(h.text)))
	}
	f.Add(".mylogin.cnf", make([]byte, 64))
	f.Add(".github/workflows/a.yml", []byte("- uses: docker/login-action@v3\n  with:\n    username: u\n    password: 'x7Kq2LmZp'\n    registry: ${{ env.R }}\nenv: {R: r.io}\n"))
	f.Add("x.sh", []byte("U=u\nP=x7Kq2LmZp\nR=r.io\necho \"$P\" | docker login ${{ env.R }} \\\n -u $U --password-stdin; podman login <<< '$P' --authfile=\"a\" q.io"))
	for path, unit := range map[string]string{"a": "postgres://u:p/", "b": ";password=", "c": "-----BEGIN RSA PRIVATE " + "KEY-----", "d.tfstate": "[{\"a\":",
		"settings.xml": "<a b='", "secrets.yml": "- - a:\n ", "hosts.yml": "a: &a {b: *a}\n", "x.sh": "mysql curl docker login echo -p a\n", ".netrc": "macdef \"x ",
		"e": "u:p@tcp(", "f": "new PDO('", "g": "machine a\\n", "h": "https://a@git", "x.tf": "variable \"a\" {\ndefault=\"", "x.sql": "IDENTIFIED BY 'a"} {
		f.Add(path, []byte(strings.Repeat(unit, 200)))
	}
	f.Fuzz(func(t *testing.T, path string, content []byte) {
		end := 0
		found := Parse(path, content)
		for _, c := range found {
			if c.Start < end || c.End <= c.Start || c.End > len(content) || c.Value == "" || c.Rule == "" || c.Kind == "" {
				t.Fatalf("%d-%d %s %s of %d bytes, %d before", c.Start, c.End, c.Rule, c.Kind, len(content), end)
			}
			end = c.End
		}
		if !Wants(path) && !slices.EqualFunc(found, Parse("", content), func(a, b Credential) bool { return a.Rule == b.Rule && a.Start == b.Start }) {
			t.Errorf("path %q changes what is found and is not wanted", path)
		}
	})
}

func TestScriptsOfOtherLanguagesAreNoShell(t *testing.T) {
	line := "password = fetch" + "Of9x3Kq2Lm\n"
	for shebang, want := range map[string]int{"#!/bin/bash\n": 1, "#!/usr/bin/env zsh -e\n": 1, "#!/usr/bin/env python3\n": 0, "#!/usr/bin/perl\n": 0} {
		if got := len(Parse("tool", []byte(shebang+"export API_"+line))) + len(Parse("tool", []byte(shebang+"export API_PASSWORD=9x3Kq2Lm-"+"Rt\n"))); (got > 0) != (want > 0) {
			t.Errorf("%q: %d credentials", shebang, got)
		}
	}
}

// TestCheapQuestionsOfValues makes values of pieces of what the expressions match and of what they do not.
func TestCheapQuestionsOfValues(t *testing.T) {
	parts := strings.Split("x|X|xxxx|*|**|.|...|-|_|__|?|0|1|#|•|…|n|/|a|N/A|na|$|${|}|$(|)|{{|<%|%|(s|<|>|{|[|]|#{|@|ENC[|!|vault|op|ref+|:|://|:/|env|cipher|arn:aws|"+
		"process.env|os.getenv|getenv|env(|ENV[|config(|var.|secrets.|this.|@Microsoft.KeyVault|projects/|secrets/|()|/etc/|/|~/|q|Zr|9|=|+| |"+
		"your|example|placeholder|redacted|change|me|this|replace|insert|enter|put|to|be|dummy|sample|fake|some|my|the|secret|password|passwd|token|api|key|pass|"+
		"here|value|goes|abcdefgh|0123456789|123456789|AB|to\u212aen|\u017fecret|é", "|")
	asked := []struct {
		may  func(string) bool
		does *regexp.Regexp
	}{{mayMask, filler()}, {mayRefer, reference()}, {mayBeHollow, hollow()}}
	r := rand.New(rand.NewPCG(2, 8))
	var yes, no [3]int
	for range 300000 {
		var v string
		for range 1 + r.IntN(5) {
			v += parts[r.IntN(len(parts))]
		}
		for i, q := range asked {
			switch may := q.may(v); {
			case q.does.MatchString(v):
				yes[i]++
				if !may {
					t.Fatalf("%q is matched by %s", v, q.does)
				}
			case !may:
				no[i]++
			}
		}
	}
	if min(yes[0], yes[1], yes[2], no[0], no[1], no[2]) < 1000 {
		t.Errorf("the values are too poor: %v match, %v may not", yes, no)
	}
}

// What is asked in front of an expression because it costs less never says no where the expression says yes.
func TestCheapQuestions(t *testing.T) {
	scheme := regexp.MustCompile(`(?i)^(?:.*\+)?(?:postgres(?:ql)?|mysql2?|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|cockroachdb|clickhouse|neo4j|cassandra|ldaps?|smtps?|ftps?|sftp|bolt|couchdb|influxdb|oracle|psycopg2?)`)
	parts := strings.Split("a|key|=|:=|=>|:|,| |\t|b|R|'|\"|'x'|\"y\"|]|define(|`|basic|Bearer|token|API-key|dXNlcg==|abcdefgh|+|postgres|FTP|https|s", "|")
	r := rand.New(rand.NewPCG(1, 9))
	var yes [3]int
	for range 100000 {
		var line []byte
		for range 1 + r.IntN(9) {
			line = append(line, parts[r.IntN(len(parts))]...)
		}
		if assignment().Match(line) {
			yes[0]++
			if !mayAssign(line) {
				t.Fatalf("%q may assign", line)
			}
		}
		if m := authorization().FindSubmatchIndex(line); m != nil {
			yes[1]++
			if before := line[:m[2]]; len(before) > 15 || bytes.ContainsFunc(before, func(c rune) bool { return !isFiller(byte(c)) }) || !isMethod(line[m[2]]) {
				t.Fatalf("%q may authorize", line)
			}
		}
		if want := scheme.Match(line); want != database(line) {
			t.Fatalf("%q: database is not %v", line, want)
		} else if want {
			yes[2]++
		}
	}
	if min(yes[0], yes[1], yes[2]) < 100 {
		t.Errorf("the text is too poor: %v", yes)
	}
}
