"""How predictions become published scores: protocols, and XTREME's submission layout."""
