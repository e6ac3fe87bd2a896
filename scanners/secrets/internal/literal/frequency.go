package literal

import (
	"math"
	"math/bits"
	"sync"
)

// A place is what may stand at one place of a window, as filters that look at the halves of a byte see it: any of the low halves
// behind any of the high ones.
type place struct{ low, high uint16 }

func placeOf(s *Set) (p place) {
	for i, bytes := range s {
		for high := range 4 {
			if low := uint16(bytes >> (16 * high)); low != 0 {
				p.low |= low
				p.high |= 1 << (4*i + high)
			}
		}
	}
	return p
}

func (p place) or(q place) place { return place{p.low | q.low, p.high | q.high} }

// classes returns the classes of its bytes: 1 to 26 for letters in either case, 32 for space and control characters, their own code for
// the characters up to 63, the low five bits for the other ones of ASCII, 0 for the rest.
func (p place) classes() (set uint64) {
	low := uint64(p.low)
	if p.high&(1<<4|1<<6) != 0 {
		set |= low
	}
	if p.high&(1<<5|1<<7) != 0 {
		set |= low << 16
	}
	if p.high&(1<<2) != 0 {
		set |= low << 32
	}
	if p.high&(1<<3) != 0 {
		set |= low << 48
	}
	if p.high&(1<<0|1<<1) != 0 {
		set |= 1 << 32
	}
	if p.high&0xff00 != 0 {
		set |= 1
	}
	return set
}

// An estimate tells how much of ordinary text passes a window. Text is taken for a chain in which each byte depends on the one
// in front of it.
type estimate struct {
	one  [64]float32     // share of each class
	then [64][64]float32 // chance of a class behind another
	sums [8][256]float32 // shares of the sets of eight classes
}

// ordinary is the estimate for all finders.
var ordinary = sync.OnceValue(func() *estimate {
	e := &estimate{}
	var share ['z' - 'a' + 1]float32
	for i := range share {
		share[i] = float32(math.Exp2(-float64(i)))
	}
	for a := range e.then {
		for b := range e.then[a] {
			e.then[a][b] = share[pairFrequency[a*64+b]-'a']
			e.one[a] += e.then[a][b]
		}
		for b := range e.then[a] {
			e.then[a][b] /= e.one[a]
		}
	}
	for k := range e.sums {
		for set := 1; set < 256; set++ {
			e.sums[k][set] = e.sums[k][set&(set-1)] + e.one[8*k+bits.TrailingZeros(uint(set))]
		}
	}
	return e
})

// share returns how much of ordinary text the bytes of one place are.
func (e *estimate) share(p place) float32 {
	sum, set := float32(0), p.classes()
	for k := range e.sums {
		sum += e.sums[k][uint8(set>>(8*k))]
	}
	return sum
}

func (e *estimate) passes(places *[width]place) float32 {
	var chance [64]float32
	sum := float32(0)
	set := places[0].classes()
	for s := set; s != 0; s &= s - 1 {
		c := bits.TrailingZeros64(s)
		chance[c] = e.one[c]
		sum += e.one[c]
	}
	for k := 1; k < width; k++ {
		next := places[k].classes()
		if next == ^uint64(0) {
			break // anything may follow
		}
		sum = 0
		var then [64]float32
		for s := set; s != 0; s &= s - 1 {
			c := bits.TrailingZeros64(s)
			row := &e.then[c]
			for t := next; t != 0; t &= t - 1 {
				d := bits.TrailingZeros64(t)
				then[d&63] += chance[c&63] * row[d&63]
			}
		}
		for t := next; t != 0; t &= t - 1 {
			sum += then[bits.TrailingZeros64(t)&63]
		}
		chance, set = then, next
	}
	return sum
}

// pairFrequency has for each class a row of what stands behind it: a for all of text, b for half of it, c for a quarter, and so on, counted over
// the histories of seven public repositories of Go, Python and their documentation. Only magnitudes matter.
const pairFrequency = "" +
	"kopoppoppqospqqqntoooqqqsqvqqropkuqrsusorptunqnrtrqqqsvvuvpurvwu" +
	"rnkjjnlkokplijiojoijhkmmmlnoosznkvnxvtxppoqqmlnmonnoooooooouunru" +
	"rknnnknpolmokooloommokppplpqosypmyntxvrooovqnojnooonooooooqvvrtw" +
	"rjnlnjmojlojknohnokmiloppmpporznkwowxvwqmouqmolnoonoooooooouvotx" +
	"qkmmkimoojpnlnmkmplknlnoomppopxmismsvtvolmqqmnlnoooooooooomrsppt" +
	"njliikjkmlnnjkhmjkhhhmlkjkomonzkhsltuutnklrpkmjmonooooooookrrnps" +
	"rknnnlkmpjppkmojookmmkpopmpqooyojwoyzvxqmmvqlolonnoooooooooturvv" +
	"pmpnoimmmjpplnmjnoklmmooponnroynjwnwvwwpmnsqnokkqqqqqqqqqpntsopu" +
	"qjoooioppkponooknpmnkjpppopqrqvnkvnuzuxpnnuqnpmopkppqqqpqqnuuprr" +
	"rlljkjjkpopnijhikokiiolplplstozplvoxxuxrqnrponnmqqpqqqpqqqpuvprv" +
	"unpopmpopooppopmopolpopoppptvrxuqyszzzzutrvqrsrqqqqqqrqqqqsyzvzv" +
	"qmooojomokppnonooonlonpnpooqsrzolxoxvztqmosqonmoppqqqpqqnpptuosu" +
	"pjnmliknoioojnnjmpnkkkmoplpprpzmjumsuvvommsqmolmqqppqqqqrqnstpru" +
	"rjmomioopkopmlnkjoolmloopnpqsqznkwoywtxoppsqoomkpqpqqqqqqpouuorw" +
	"ojnjiikinjnlmmkjmpnjilloomopnpxmiuluurvnlmqqmmlmppppqqqpqqmrspou" +
	"rllkjmkkolokjihkkphkjjlkmoorrszmjvnuxzuonpsqomklqqqppqqqqpouuout" +
	"qjmmmjnonkpljnnjkpjljlnoplpnrqznkunuwwupnnvpnolnpppoqqqqpqmqpqqw" +
	"vppppoppppppopppppppojpppppvuvurozqzzzzttpxqpsoqpqqqqqqqqrsuyoyy" +
	"ojnlkhmkoiplkljilojjjjlnpkpmnoxmiumvxsunklsqmnkmppppqqqqqqmsspqu" +
	"oknjmhnmkjplmnnkkomjhkomplpmmmxlhsltwrsnllpplmjkpopopqqqqqkprmrr" +
	"ninkmhmnhipollmikoijjjommjonooykislwtsumklrplmkmpoonpqmqpqloropr" +
	"uljlljllpkppjljokpijjoopopoutuzrnzqzzwzpsqwprqopooooooooootzyotx" +
	"rjpoojpopkpoooonpppooopppopssszqmynwxvvrpptqprnollmmopoqpqpsusrv" +
	"skpooloolkppnomlnpmloppnppprttyomyozvwxsoptqppnpqqqqqprpqqquwovv" +
	"smnmnmnpomppoopolpookpppnnoqspznlxoxxuwqoovpnonmklnommklnoptvrrv" +
	"pnononooonponnmmkpnlloomppoprpznjumuwxvpnnsqmnmmqpppqqqpqpnstosu" +
	"unppoloppnpppppoppoppnpppoovoqzqqsoryyxrxruqurspnqqrqqpqqqtywtvv" +
	"qmppqopqqnqqppoqptmnoqqrtvummkqrjtmququmrystwpstlmonoppqprpzstzw" +
	"uqosqssrusttssmsqvomnkromutnkrtrmwmsnuyoptrtqnoqrtrrvuvwwwmoonoo" +
	"prnqqrruspwtqrqtqvpnprttuzylmmusivpwtwvomlopkonrxzzzzyzzzzpqtorp" +
	"tuuuuvqwxvuyuwxwvytuuvurwzytqunxqxrxvuwttvxyyxttrpqrqrsqsutuwuuz" +
	"rmnlmmmnnmpommmnlqllmnnoqtrpoqulnvntwtzropvvmqqrrpprrsqututusruv" +
	"kijiiiijjimljjijjmiihjjjnmoiljpldlikomlkkmkmukmjillmmnnnoojqmins" +
	"wrrrssrusrvwttsprvrrststyyztvxuyqusuwyzsuvuzztwuzyzzzzzzzzzyulzx" +
	"nmmmmmmlmmoommmnmpmlmnnnppqpmlnpjtksqptprlrqipoopooqqrrrrtkrqrot" +
	"vtusrssvtryysuuusxsrsvrvuxzuuuuwkuumuvxuxxvuxxttuprssrssstnzzzzx" +
	"suvttuuttsuvuuvutvrttvtwyxzqszzxrztzuvvqpnwyvwtvuttvxxyyyzuzyzzv" +
	"wuutouvxvwyzwuwyupsnsvnptuwuurwzpwvrvvvtsuzswttvuuqruuutxtvvwwzz" +
	"tpqpqrqqrqttqqqqpsqpprpsuvtxvyvtnzvsxvnuuwxzxzvzrvxzyzyzzzzyzvxy" +
	"ooooppoonpsqpppqotomnoprqstqnmrqlunsuquknmsulrposrrqrsuwuvnsqtst" +
	"pnmlmmmpmnqpnmnnmqmllnnootsmqysomtlqtqolpjnwurqtooprrrsutttwtsxl" +
	"pvvvvxwuwvwywvvzvzysuzuwuxzmoovqivpysuunllsqlqlrzzzzzzzzzzlnsuuq" +
	"topooppppprpoppporonnqqrrwurrtytmzqytvysrrmttqrqztuvvttyxynvvtwr" +
	"uqqqqpqqqpqqqpqpqqqqqqqqrqqtqszwmxqutwystrymurvqqqqrrqsrrrswyout" +
	"rtttssuvusrwsupnpwrqsutwzxvrrqzvguovuvvrvpxzrxuuoonmpnrqqtwxtzxx" +
	"umnmnnnmonponooonqnmmoopqrmoqnwolynwtszsqsqssktpnnmoppqqomwwrrou" +
	"slmjllllmlnolklllplklmmmpprproynjzmzwszqopqrrompklmmnnoooovxqtxu" +
	"plnlmmnjnmnnmmnnlpmllnlnmpoqrrtpjzprtqwosrqrupqjpoopppqqqqtwrtps" +
	"rmnnnooqqqqqqpqqqqqppqqqiqqunmzqkvnvvsvotmrqklkmkllmmmmnmmopvptw" +
	"rooooooqqqqqqppqqqqqqqqqqqqsonyplznvyttqrntqloknlmlmmmmnmmkqttsx" +
	"rooooooqqqqqpqpqqqqppqqqqqqsonwpmxovxttqpotrlnmnkmmmmmnnnnorvssv" +
	"rooooooqqqqqqqqpqqpqpqqqqqqtonzrmzouzryrtpurlommmmmnnnnnnnorwvtx" +
	"rooooooqqqqqqqqqqqqqpqpqqqqroozqmupvzuyroourmomommnnnnnnnnprwouz" +
	"sooooooqqqqqqpqqqqqqqqpqqpqwonztnzpwzrysuptqlonomnnnnnnnnnpryzwv" +
	"ronnnnmqqpqqqqqqqqqqqqqqqqqvopupnzpxzuxsqpvrmonpmmnnlmnnnmorxruy" +
	"sooooooqqqqqqqpqqqqqqqqpqqqyoqyrnzqwzvutvqvrnpnpnnmmmnnnnnpryxxz" +
	"rooooooqqqqqqqqqqqqnpqqqqqpyopysnzpxzwwqrqvrmpnomnnnnnnonnprypwx" +
	"rnoooooqqqpqqqqprqqqqqqqpqqvonxqoyqwzuyttquqmoopnnnnnnoonnpryqyz" +
	"mnpnopoqoopppoppnqoooqpqqppmnpssiymxsryorqrrxrsloopppppqpqnuskyv" +
	"uvuuwvwyuwxzwwxyuvwuvxvxyzzvsozzlxszzztuzxzzvzxvzvxyzzzzzzuuruzw" +
	"wqprqssuqqtsqrstpwpoprtwswuttrzuottzzvzuwvzzypxnxtuvvwxwwzzzqotv" +
	"sqqqprprqrttrrorquqpoqrsutuomprqhzmysqworpwvutttqpqsstrtsvuztlou" +
	"orsrsssussvvtrsttwsrrtvuwwysnqyvmxqxvutqtswvtursvvuuwxxxvysspony" +
	"ustttvsuvnysvuuxptvssttytzvrrxyyqvswsuzsprzzvsvwyzwzzzzzzzlxuovt"
