"""The words and patterns by which `SentenceExtractor` reads a message. Pure.

Only what says nothing about the user is listed, so a language that is missing here loses no
facts: at most, a greeting or a question too many is kept. Every pattern is linear in its input.
"""

# ruff: noqa: RUF001  (typographic and East Asian punctuation is what is matched here)

from __future__ import annotations

import re
from typing import Final

# Openings after which a name may follow: "Hi Sarah".
_ADDRESSING: Final = (
    "hi|hiya|hello|hey|hello there|hi there|hey there|dear|greetings|good morning|good afternoon|"
    "good evening|good day|thanks|thank you|many thanks|thanks so much|thank you so much|"
    "thank you very much|thanks a lot|thx|ty|cheers|bye|goodbye|bye bye|hallo|guten tag|"
    "guten morgen|guten abend|danke|vielen dank|tschüss|bonjour|bonsoir|salut|merci|"
    "merci beaucoup|au revoir|hola|buenos días|buenas tardes|buenas noches|gracias|"
    "muchas gracias|adiós|ciao|buongiorno|buonasera|grazie|grazie mille|arrivederci|olá|bom dia|"
    "boa tarde|boa noite|obrigado|obrigada|muito obrigado|tchau|hoi|goedemorgen|goedemiddag|"
    "goedenavond|dank je|dank u|bedankt|doei"
)
# Sentences made of these alone say nothing about the user.
_FILLERS: Final = (
    "all|everyone|everybody|team|folks|again|in advance|for your help|for the help|for that|"
    "for your time|yes|yeah|yep|yup|no|nope|no thanks|no thank you|ok|okay|k|kk|sure|fine|alright|"
    "all right|right|correct|exactly|indeed|wait|of course|got it|i got it|i see|i understand|"
    "understood|makes sense|that makes sense|sounds good|that sounds good|good|great|cool|nice|"
    "perfect|awesome|excellent|wonderful|lovely|that's great|that is great|that's perfect|"
    "that works|works for me|no problem|no worries|never mind|nevermind|you're welcome|i'm fine|"
    "i'm good|i'm ok|well|so|hmm+|hm|um+|uh+|ah+|oh+|wow|lol|ha(?:ha)+|please|excuse me|sorry|"
    "bye for now|see you|see you later|see you soon|take care|have a nice day|have a good day|"
    "have a great day|you too|best|best regards|kind regards|warm regards|regards|"
    "yours sincerely|sincerely|that's all|that is all|that will be all|i have a question|"
    "i have a quick question|quick question|i need help|i need some help|i need your help|"
    "help|help me|can you help me|are you there|anyone there|"
    "ja|nein|gut|super|genau|klar|alles klar|verstanden|stimmt|bitte|in ordnung|kein problem|"
    "schönen tag noch|mit freundlichen grüßen|viele grüße|liebe grüße|ich brauche hilfe|"
    "hilfe|ich habe eine frage|helfen sie mir|hilf mir|im voraus|"
    "oui|non|d'accord|bien|très bien|parfait|super|s'il vous plaît|s'il te plaît|bien sûr|"
    "bonne journée|cordialement|j'ai une question|aidez moi|j'ai besoin d'aide|à bientôt|"
    "sí|si|vale|claro|de acuerdo|perfecto|bueno|muy bien|por favor|de nada|hasta luego|"
    "saludos|tengo una pregunta|necesito ayuda|ayuda|ayúdeme|ayúdame|entendido|"
    "va bene|certo|perfetto|prego|per favore|ho una domanda|aiuto|ho bisogno di aiuto|capito|"
    "sim|não|tudo bem|está bem|certo|perfeito|entendi|tenho uma pergunta|preciso de ajuda|"
    "nee|prima|goed|oké|begrepen|alstublieft|ik heb een vraag|ik heb hulp nodig|"
    "你好|您好|嗨|早上好|晚上好|谢谢|谢谢你|谢谢您|非常感谢|多谢|好|好的|是的|是|不是|不|对|嗯|"
    "行|可以|明白|明白了|知道了|没问题|再见|拜拜|请|请问|请帮帮我|帮帮我|请帮我|不客气|"
    "こんにちは|こんばんは|おはよう|おはようございます|ありがとう|ありがとうございます|"
    "どうもありがとうございます|はい|いいえ|わかりました|了解です|了解|お願いします|"
    "よろしくお願いします|すみません|さようなら|"
    "안녕하세요|안녕|감사합니다|고맙습니다|네|예|아니요|알겠습니다|부탁합니다|"
    "привет|здравствуйте|добрый день|спасибо|большое спасибо|да|нет|хорошо|ок|понятно|"
    "пожалуйста|до свидания|مرحبا|شكرا|شكرا جزيلا|نعم|لا|حسنا|नमस्ते|धन्यवाद|हाँ|ठीक है"
)
# Where a question starts, in a sentence or in a clause of it.
_ASKING: Final = (
    "what|what's|where|where's|when|why|who|whose|which|how|can|could|would|will|should|shall|"
    "is|isn't|are|aren't|was|were|do|don't|does|doesn't|did|didn't|has|have you|had|can't|"
    "couldn't|won't|wouldn't|any chance|any idea|any update|"
    "können|könnten|kannst|könntest|kann|könnte|darf|soll|sollte|haben sie|hast du|ist|sind|wird|"
    "wo|wann|warum|wieso|wer|wie|welche[rsnm]?|gibt es|"
    "pouvez|peux|peut|puis-je|pourriez|pourrais|est-ce|avez-vous|quel|quelle|quels|quelles|"
    "quand|pourquoi|comment|combien|où|qu'est-ce|"
    "puede|puedes|podría|podrías|me puede|me puedes|cuál|cuándo|dónde|cómo|qué|quién|"
    "por qué|cuánto|hay|può|puoi|potete|potrebbe|potresti|mi può|quando|dove|perché|quale|"
    "quanto|c'è|pode|podem|poderia|você pode|onde|qual|kunt|kun|kunnen|zou|mag|wat|waar|"
    "wanneer|waarom|hoe|heeft|heb je|"
    "почему|где|когда|как|что|кто|можете|сколько"
)
# What turns a statement into a question at its very end: "It is 48213, right?"
_TAGS: Final = (
    "right|correct|ok|okay|yes|no|you know|oder|stimmt's|n'est-ce pas|verdad|vero|né|toch"
)
# Where a clause about the user starts.
_OWN: Final = (
    "i|i'm|i've|i'd|my|we|we're|we've|our|ich|mein|meine|meinen|wir|unser|unsere|je|j'ai|mon|ma|"
    "mes|nous|notre|mi|mis|yo|soy|tengo|nuestro|nuestra|io|sono|mio|mia|eu|meu|minha|ik|mijn|"
    "я|мой|моя"
)
# Where a clause starts that is no statement by itself.
_SUBORDINATE: Final = "if|unless|wenn|falls|quand|cuando|quando|als|если|如果|要是|もし"
# What the agent is told to do for this turn. Verbs that also state a lasting wish ("write to me
# in German", "call me after six", "remember") are left out on purpose.
_COMMANDS: Final = (
    "tell me|show me|give me|explain|help me|help us|let me know|look up|connect me|transfer me|"
    "list all|list my|list the|find me|find my|find the|find out|search for|check my|check the|"
    "check if|check whether|describe the|describe how|summari[sz]e|translate this|translate it|"
    "repeat that|repeat it|wait a moment|wait a minute|hold on|try again|"
    "i want to know|i would like to know|i'd like to know|i need to know|i was wondering|"
    "i wonder|sag mir|sagen sie mir|zeig mir|zeigen sie mir|gib mir|geben sie mir|erklär|"
    "erkläre|erklären sie|dis-moi|dites-moi|montre-moi|montrez-moi|aidez-moi|aide-moi|"
    "donnez-moi|expliquez|dime|dígame|muéstrame|muéstreme|explícame|dimmi|mi dica|mostrami|"
    "spiegami|me diga|diga-me|mostre-me|vertel me|laat me"
)

# Abbreviations: those that never end a sentence, those that do before a capital letter, and those
# that stand before a number.
NEVER_LAST: Final = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "st", "vs", "hr", "sra", "srta", "mme", "mlle"}
    | {"e.g", "i.e", "z.b", "d.h", "u.a", "p.ej", "bzw", "ggf", "inkl"}
)
SELDOM_LAST: Final = frozenset(
    {"rd", "ave", "blvd", "etc", "inc", "ltd", "co", "corp", "jr", "sr", "dept"}
)
WITH_NUMBER: Final = frozenset({"no", "nr", "nos", "apt", "ext", "tel", "ca", "approx", "art", "p"})
_MONTHS: Final = (
    "Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
)
QUESTION_MARKS: Final = "?？؟"
OPEN_ENDS: Final = (",", ":", "，", "：")
PAUSES: Final = " ,;:，；、—–-"

CJK: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# In the scripts of India and Thailand the vowel signs, which are part of a word, are not in \w.
_LETTER: Final = r"[\w\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e]"
WORD: Final = re.compile(rf"{_LETTER}+(?:['’]{_LETTER}+)*")
NAMES: Final = re.compile(r"(?: [A-ZÀ-ÖØ-ÞΑ-ΩА-ЯЁ](?![A-Z])[^\W\d_]+(?!\S)){0,2}")
BULLET: Final = re.compile(r"\A[-*•‣◦▪·–—]\s+")
NUMBERED: Final = re.compile(r"\A\(?\d{1,2}[.)]\s+")
DECORATION: Final = re.compile(r"""\A[^\w¿¡+#@$€£¥"'“‘«([-]+""")
# The look-behind starts a match at the first mark of a run only: linear on a long run.
END: Final = re.compile(
    r"""(?<![。！？｡])[。！？｡]+[”’」』）"')\]]*|(?<![.!?…؟।۔])[.!?…؟।۔]++[”’»"')\]]*+(?=\s|$)"""
)
MONTH: Final = re.compile(rf"\s(?:{_MONTHS})\b")
# What only the user can know: a number that is no year, a code, an e-mail or a street address.
IDENTIFIER: Final = re.compile(
    r"(?<!\d)(?!(?:19|20)\d\d(?!\d))\d{4,}|[A-Za-z]{1,10}[-_]?\d{3,}|#\d|\d{3}[- ]\d{2,}|"
    r"\w@\w|\d [A-Z]\w{1,20} [A-Z]\w|(?:[Ss]traße|[Ss]trasse) \d"
)


def _either_apostrophe(pattern: str) -> str:
    return pattern.replace("'", "['’]")


def _any_of(alternatives: str) -> str:
    return rf"(?:{_either_apostrophe(alternatives)})(?!\w)"


_PAUSE: Final = r"(?:[,;:，；、—–]\s*|\s-\s)(?:(?:and|but|so|und|aber|et|mais|y|pero|e)\s)?"
OWN_CLAUSE: Final = re.compile(
    rf"(?:{_PAUSE}|\s(?:because|since|weil|parce que|porque)\s)(?={_any_of(_OWN)}|[我私僕])",
    re.IGNORECASE,
)
ASKING_CLAUSE: Final = re.compile(
    rf"(?:{_PAUSE}|\s(?:and|but|so|und|aber|et|mais|y|pero)\s)(?:please\s)?{_any_of(_ASKING)}"
    rf"|{_PAUSE}{_any_of(_TAGS)}\W*$|\s(?:can|could|would|will) (?:you|i|we)\b|\s?¿"
    r"|[，、](?=[^，、]*$)",
    re.IGNORECASE,
)
ASKED_WITHOUT_MARK: Final = re.compile(
    r"(?:can|could|would|will) (?:you|i|we|someone)\b|"
    r"(?:what|where|when|why|how|who|which)(?:['’]s| (?:is|are|was|were|do|does|did|can|could|"
    r"should|would|will|much|many|long|about))\b|"
    r"(?:do|did|have|are) you\b|(?:is|are|does|did|has) (?:there|it|this|that|my|the)\b|"
    r".*(?:ですか|ますか|でしょうか|吗|습니까|나요|까요)[。.]?$",
    re.IGNORECASE,
)
NO_STATEMENT: Final = re.compile(
    rf"[¿]|{_any_of(f'{_ASKING}|{_SUBORDINATE}')}|如果|要是|もし", re.IGNORECASE
)
COMMAND: Final = re.compile(
    rf"(?:(?:please|bitte|por favor|also|and|just),? )*{_any_of(_COMMANDS)}", re.IGNORECASE
)
COMPOUND: Final = re.compile(r"(?:;|,\s(?:and|but|so|und|aber|et|mais|y|pero|e|ma|maar))\s")


def _phrase_pattern(alternatives: str) -> re.Pattern[str]:
    longest_first = sorted(_either_apostrophe(alternatives).split("|"), key=len, reverse=True)
    # Scripts without spaces need no boundary: a sentence is dropped only if nothing is left.
    bounded = (p if CJK.search(p) else rf"{p}(?!\S)" for p in longest_first)
    return re.compile("|".join(bounded), re.IGNORECASE)


ADDRESSING: Final = _phrase_pattern(_ADDRESSING)
PHRASE: Final = _phrase_pattern(f"{_ADDRESSING}|{_FILLERS}")
