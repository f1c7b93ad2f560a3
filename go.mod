module httpserver

go 1.26.0

require github.com/golang/glog v1.2.5

require golang.org/x/net v0.62.0

require golang.org/x/sync v0.25.0

require github.com/pires/go-proxyproto v0.15.0
