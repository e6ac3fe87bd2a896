package aws

import "slices"

// A Sentinel is an action whose being allowed tells much about an identity.
type Sentinel struct {
	Action string
	Group  Group
	Level  Effect
}

// Group says what a sentinel action stands for.
type Group string

// The groups of sentinel actions.
const (
	Administration Group = "administration"
	Escalation     Group = "privilege escalation"
	KeyCreation    Group = "key creation"
	DataRead       Group = "data read"
	DataWrite      Group = "data write"
	SecretsRead    Group = "secrets read"
	TrailTampering Group = "trail tampering"
	RoleAssumption Group = "role assumption"
)

// Effect is what an action does by itself.
type Effect string

// The effects.
const (
	Writes  Effect = "write"
	Reads   Effect = "read"
	Becomes Effect = "become" // acts as somebody else, or hands a right on: worth what that other identity is worth
)

// Sentinels lists the actions that are simulated, by group. Forty fit into one call of SimulatePrincipalPolicy.
func Sentinels() []Sentinel { return slices.Clone(sentinels) }

var sentinels = []Sentinel{
	{"iam:CreateUser", Administration, Writes},
	{"iam:CreateOpenIDConnectProvider", Administration, Writes},
	{"organizations:ListAccounts", Administration, Reads},
	{"organizations:DetachPolicy", Administration, Writes},
	{"organizations:LeaveOrganization", Administration, Writes},
	{"s3:PutBucketPolicy", Administration, Writes},
	{"kms:PutKeyPolicy", Administration, Writes},
	{"ec2:RunInstances", Administration, Writes},
	{"lambda:CreateFunction", Administration, Writes},
	{"ecs:RunTask", Administration, Writes},
	{"cloudformation:CreateStack", Administration, Writes},

	{"iam:AttachUserPolicy", Escalation, Writes},
	{"iam:AttachRolePolicy", Escalation, Writes},
	{"iam:PutUserPolicy", Escalation, Writes},
	{"iam:PutRolePolicy", Escalation, Writes},
	{"iam:CreatePolicyVersion", Escalation, Writes},
	{"iam:SetDefaultPolicyVersion", Escalation, Writes},
	{"iam:UpdateAssumeRolePolicy", Escalation, Writes},
	{"iam:AddUserToGroup", Escalation, Writes},
	{"iam:DeleteUserPermissionsBoundary", Escalation, Writes},
	{"iam:DeleteUserPolicy", Escalation, Writes},
	{"iam:PassRole", Escalation, Becomes},
	{"lambda:UpdateFunctionCode", Escalation, Writes},
	{"ssm:SendCommand", Escalation, Writes},
	{"ssm:StartSession", Escalation, Writes},

	{"iam:CreateAccessKey", KeyCreation, Writes},
	{"iam:CreateLoginProfile", KeyCreation, Writes},
	{"iam:UpdateLoginProfile", KeyCreation, Writes},
	{"sts:GetFederationToken", KeyCreation, Becomes},

	{"s3:ListAllMyBuckets", DataRead, Reads},
	{"s3:GetObject", DataRead, Reads},
	{"ec2:DescribeInstanceAttribute", DataRead, Reads},
	{"kms:Decrypt", DataRead, Reads},
	{"s3:PutObject", DataWrite, Writes},
	{"ec2:ModifySnapshotAttribute", DataWrite, Writes},

	{"secretsmanager:GetSecretValue", SecretsRead, Reads},
	{"ssm:GetParameter", SecretsRead, Reads},

	{"cloudtrail:StopLogging", TrailTampering, Writes},
	{"guardduty:DeleteDetector", TrailTampering, Writes},

	{"sts:AssumeRole", RoleAssumption, Becomes},
}

// guarded are the actions that organisations take even from administrators, so that their absence does not make an identity
// less than admin.
var guarded = []string{
	"organizations:ListAccounts", "organizations:DetachPolicy", "organizations:LeaveOrganization",
	"cloudtrail:StopLogging", "guardduty:DeleteDetector",
}

// An escalation is a set of actions that, allowed on every resource, let an identity give itself any right in the account. The
// sets are those of the pathfinding.cloud catalogue (Apache-2.0) that need nothing but sentinel actions. Left out, because what
// they give depends on roles that are not read here: sts:AssumeRole, lambda:UpdateFunctionCode, ssm:SendCommand, ssm:StartSession.
type escalation struct {
	actions []string
	gain    string
	only    string // the type of identity it is for; "" for both
	self    bool   // being allowed on the identity itself is enough
}

var escalations = []escalation{
	{[]string{"iam:AttachUserPolicy"}, "attaches an administrator policy to itself", "user", true},
	{[]string{"iam:PutUserPolicy"}, "writes itself an inline policy", "user", true},
	{[]string{"iam:AttachRolePolicy"}, "attaches an administrator policy to its role", "role", true},
	{[]string{"iam:PutRolePolicy"}, "writes its role an inline policy", "role", true},
	{[]string{"iam:AttachUserPolicy", "iam:CreateAccessKey"}, "makes another user administrator and takes a key of it", "", false},
	{[]string{"iam:PutUserPolicy", "iam:CreateAccessKey"}, "makes another user administrator and takes a key of it", "", false},
	{[]string{"iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy"}, "makes a role administrator and lets itself in", "", false},
	{[]string{"iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"}, "makes a role administrator and lets itself in", "", false},
	{[]string{"iam:AttachRolePolicy", "sts:AssumeRole"}, "makes a role it may assume administrator", "", false},
	{[]string{"iam:PutRolePolicy", "sts:AssumeRole"}, "makes a role it may assume administrator", "", false},
	{[]string{"iam:CreatePolicyVersion"}, "rewrites a policy it holds", "", false},
	{[]string{"iam:SetDefaultPolicyVersion"}, "goes back to an older, wider version of a policy it holds", "", false},
	{[]string{"iam:CreateAccessKey"}, "takes a key of any user, administrators included", "", false},
	{[]string{"iam:CreateLoginProfile"}, "sets a console password for any user without one", "", false},
	{[]string{"iam:UpdateLoginProfile"}, "changes the console password of any user", "", false},
	{[]string{"iam:AddUserToGroup"}, "joins any group, administrators included", "user", false},
	{[]string{"iam:UpdateAssumeRolePolicy"}, "lets itself into any role, administrators included", "", false},
	{[]string{"iam:PassRole", "cloudformation:CreateStack"}, "runs a stack under any role that trusts CloudFormation", "", false},
	{[]string{"iam:PassRole", "ec2:RunInstances"}, "runs an instance under any role that trusts EC2", "", false},
	{[]string{"iam:PassRole", "ecs:RunTask"}, "runs a task under any role that trusts ECS tasks", "", false},
}
