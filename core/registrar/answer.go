package registrar

import (
	"strconv"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
)

// answer is the 200 that lists all bindings, each with the time it has left
// (RFC 3261 §10.3 step 8).
func (r *Registrar) answer(req *sip.Message, all []tenancy.Binding) sip.Response {
	now := r.now()
	h := make([]byte, 0, 256)
	flow := false
	for _, b := range all {
		left := max(seconds(b.Expires.Sub(now)), 0)
		h = append(h, "Contact: <"...)
		h = append(append(append(h, b.Contact...), '>'), b.Params...)
		h = strconv.AppendInt(append(h, ";expires="...), left, 10)
		h = append(h, "\r\n"...)
		flow = flow || len(b.Key) > len(flowKey) && b.Key[:len(flowKey)] == flowKey
	}
	if has(req, sip.Supported, "path") { // RFC 3327 §5.3
		for i := req.Index(sip.Path); i >= 0; i = req.Next(i) {
			line := req.Header(i)
			h = append(h, req.Raw[line.Start:line.End]...)
		}
	}
	if flow && has(req, sip.Supported, "outbound") { // RFC 5626 §6
		h = append(h, "Require: outbound\r\n"...)
	}
	h = append(h, "Supported: path, outbound\r\nDate: "...)
	h = now.UTC().AppendFormat(h, dateFormat)
	h = append(h, "\r\n"...)
	return sip.Response{Code: 200, Headers: h}
}

// dateFormat is SIP-date (RFC 3261 §20.17): RFC 1123 in GMT.
const dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"
