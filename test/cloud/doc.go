// Package cloud tests verification of cloud keys against servers and descriptions that were not written here: versitygw as STS
// and IAM, Amazon's API models, and the AWS command line.
package cloud
