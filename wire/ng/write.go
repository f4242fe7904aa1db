package ng

import (
	"net/netip"
	"time"
)

// AppendCommand appends the whole datagram of c to b.
func AppendCommand(b []byte, cookie string, c Command) []byte {
	b = append(append(b, cookie...), ' ')
	return c.Dict().Append(b)
}

// Dict is c as it is written.
func (c Command) Dict() Dict {
	d := Dict{KeyCommand: c.Name}
	for _, f := range []struct{ key, value string }{
		{KeyCallID, c.CallID}, {KeyFromTag, c.FromTag}, {KeyToTag, c.ToTag}, {KeyViaBranch, c.ViaBranch},
		{KeyLabel, c.Label}, {KeyToLabel, c.ToLabel}, {KeySetLabel, c.SetLabel}, {KeyAll, c.All},
		{KeySDP, string(c.SDP)}, {KeyInterface, c.Interface}, {KeyAddressFamily, c.Family},
		{KeyICE, c.ICE}, {KeyICELite, c.ICELite}, {KeyTransportProtocol, c.Transport},
		{KeyEndpointLearning, c.Learning}, {KeyDropTraffic, c.DropTraffic},
		{KeyCode, c.Digit}, {KeyDTMFSecurity, c.DTMFSecurity}, {KeyMessageType, c.MessageType},
		{KeyAddress, addressText(c.Address)}, {KeyMediaAddress, addressText(c.MediaAddress)},
	} {
		if f.value != "" {
			d[f.key] = f.value
		}
	}
	for _, f := range []struct {
		key   string
		value []string
	}{
		{KeyFromTags, c.FromTags}, {KeyReplace, c.Replace}, {KeyFlags, c.Flags}, {KeyRTCPMux, c.Mux}, {KeyDTLS, c.DTLS},
		{KeySDES, c.SDES}, {KeyOSRTP, c.OSRTP}, {KeyBundle, c.Bundle}, {KeyT38, c.T38}, {KeySupports, c.Supports},
		{KeyReceivedFrom, familyAndAddress(c.ReceivedFrom)},
	} {
		if len(f.value) > 0 {
			d[f.key] = f.value
		}
	}
	if c.Direction != [2]string{} {
		d[KeyDirection] = c.Direction[:]
	}
	if codec := c.Codec.dict(); len(codec) > 0 {
		d[KeyCodec] = codec
	}
	c.writeNumbers(d)
	return d
}

func (c *Command) writeNumbers(d Dict) {
	if c.TOS != nil {
		d[KeyTOS] = *c.TOS
	}
	if c.Volume != nil {
		d[KeyVolume] = *c.Volume
	}
	if c.Duration > 0 {
		d[KeyDuration] = int64(c.Duration / time.Millisecond)
	}
	if c.Pause > 0 {
		d[KeyPause] = int64(c.Pause / time.Millisecond)
	}
	if c.DeleteDelay != nil {
		d[KeyDeleteDelay] = int64(*c.DeleteDelay / time.Second)
	}
	if c.Limit > 0 {
		d[KeyLimit] = c.Limit
	}
}

func (c Codec) dict() Dict {
	d := Dict{}
	for _, f := range []struct {
		key   string
		value []string
	}{{"strip", c.Strip}, {"except", c.Except}, {"offer", c.Offer}, {"ignore", c.Ignore}} {
		if len(f.value) > 0 {
			d[f.key] = f.value
		}
	}
	return d
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

func familyAndAddress(a netip.Addr) []string {
	switch a = a.Unmap().WithZone(""); {
	case !a.IsValid():
		return nil
	case a.Is4():
		return []string{FamilyIPv4, a.String()}
	}
	return []string{FamilyIPv6, a.String()}
}
