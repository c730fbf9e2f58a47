"""Words of the made-up world, by the slot of the grammar they fill."""

import random
from typing import Final


def _words(text: str, between: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(between))


WOMEN: Final = _words(
    "Ada Alma Bess Cora Della Edda Faye Greta Hilda Ida Josie Keira Lotte Mabel Nora Olga Petra "
    "Ruth Sylvie Tilda Una Vera Wilma Ylva Zelda Agnes Berta Clara Doris Elsa"
)
MEN: Final = _words(
    "Abel Boris Cyril Doran Edwin Felix Gustav Harald Ivor Jonas Karl Lars Milo Nils Otto Piet "
    "Ralf Simon Tobias Ulf Viktor Walter Yorick Zeno Anton Bruno Caspar Dirk Emil Fritz"
)
NAMES: Final = (*WOMEN, *MEN)

TRADES: Final = _words(
    "baker weaver miller potter tailor sailor painter farmer hunter fiddler clerk teacher "
    "gardener cobbler carpenter judge butcher printer shepherd ferryman watchman tinker cooper "
    "innkeeper"
)

THINGS: Final = _words(
    "kettle lantern ladder basket mirror violin barrel candle anchor apple bell blanket book "
    "bottle bowl box bread broom brush bucket button cake cap card carpet chain chair cheese "
    "clock cloak coat coin comb compass crate crown cup curtain door drum egg feather fiddle "
    "flag flute fork glove goose"
)

PLACES: Final = _words(
    "harbour market mill orchard tower bridge meadow cellar attic chapel library station garden "
    "forest quarry island lighthouse courtyard inn valley village canal abbey archive barn "
    "bakery castle cave"
)

ADJECTIVES: Final = _words(
    "old small quiet broken golden narrow dusty empty heavy pale crooked early gentle hollow "
    "ancient bitter clever cold damp dark distant dull eager faded famous fine foolish frozen "
    "gloomy grand green grey hidden humble idle impatient iron-grey jolly kind lame "
    "large lonely lost"
)

TAKING: Final = _words(
    "carried sold found lost painted mended buried bought borrowed cleaned counted covered "
    "dragged dropped emptied guarded kept lent lifted locked"
)

SPEAKING: Final = _words(
    "laughed wept whispered shouted sang argued nodded hesitated agreed refused smiled frowned"
)

MANNERS: Final = _words(
    "slowly gladly quietly angrily softly proudly sadly twice alone bravely calmly eagerly"
)

MOODS: Final = _words(
    "happy tired ashamed hungry sleepy uneasy grateful afraid content jealous homesick hopeful"
)

TIMES: Final = _words("then later soon once often again sometimes meanwhile afterwards suddenly")

STATES: Final = _words("stood lay fell waited broke shone vanished rested remained appeared")

SEEMING: Final = _words("was seemed looked felt grew")

DETERMINERS: Final = _words("the the the the a a a his her this that every another no")

JOINTS: Final = _words(" and; and;, but;, so; because; while; until; when; before; after", ";")

STOPS: Final = _words(". . . . . . . . . !")

NEAR: Final = _words(
    "behind;near;under;beside;above;below;inside;outside",
    ";",
)


def article(phrase: str) -> str:
    """The indefinite article and the phrase: "an old kettle", "a kettle"."""
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def invented_names(
    count: int, seed: int, endings: tuple[str, ...], middle_share: float = 0.7
) -> list[str]:
    """``count`` different pronounceable names, the same for the same seed."""
    rng = random.Random(f"names/{seed}")
    heads = _words(
        "Bel Cor Dar Fen Gal Hol Jas Kel Lor Mar Nev Os Pel Quil Ros Sol Tar Ul Vel Wes Yar Zan"
    )
    middles = _words("a e i o u an el in or us am ir")
    names: dict[str, None] = {}
    while len(names) < count:
        middle = rng.choice(middles) if rng.random() < middle_share else ""
        names[rng.choice(heads) + middle + rng.choice(endings)] = None
    return list(names)


COUNTRY_ENDINGS: Final = ("dia", "land", "mark", "nia", "ria", "stan", "tova", "via")
CITY_ENDINGS: Final = ("burg", "dam", "ford", "grad", "ham", "mouth", "port", "wick")
TOWN_ENDINGS: Final = ("by", "dale", "field", "gate", "stead", "ton", "vale", "well")
SURNAME_ENDINGS: Final = ("berg", "croft", "feld", "holm", "man", "quist", "sen", "strom")
