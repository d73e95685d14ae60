module medibridge/tools/kubo

go 1.25

require (
	github.com/cockroachdb/swiss v0.0.0-20260820225851-333444432258 // builds with Go 1.26 and 1.27; the one Kubo asks for does not
	github.com/ipfs/kubo v0.38.2
)
